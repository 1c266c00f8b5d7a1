#pragma once

#include <weir/options.h>

#include <cstddef>
#include <vector>

#include "sim/kernel.h"
#include "sim/personality.h"
#include "sim/random.h"

namespace weir::sim {

/// What a seed is about.
struct Setup {
  const Personality& personality;
  bool epoll;  ///< the receivers have an epoll and no io_uring
  Kernel::Shape shape;
  std::vector<Strategy> strategies;  ///< that its connections have
  std::size_t receivers;
  Options options;
  unsigned handler_acts;  ///< percent of the handlers that do something of their own
  unsigned keeps;         ///< percent of what is received that the user keeps for a while
  std::size_t most_connections;
};

Setup draw_setup(Random& random);

}  // namespace weir::sim
