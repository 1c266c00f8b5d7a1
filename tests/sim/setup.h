#pragma once

#include <weir/options.h>

#include "sim/kernel.h"
#include "sim/personality.h"
#include "sim/random.h"

namespace weir::sim {

/// A strategy, and whether a kernel has what it needs.
struct StrategyRow {
  Strategy strategy;
  bool (*possible)(const Personality& personality);
};

inline constexpr StrategyRow kStrategies[] = {
    {Strategy::automatic, [](const Personality&) { return true; }},
    {Strategy::ring, [](const Personality& kernel) { return kernel.multishot; }},
    {Strategy::direct, [](const Personality&) { return true; }},
    {Strategy::poll_recv, [](const Personality&) { return true; }},
    {Strategy::poll_first, [](const Personality&) { return true; }},
};

/// What a seed is about.
struct Setup {
  const Personality& personality;
  Kernel::Shape shape;
  Options options;
  unsigned handler_acts;  ///< percent of the handlers that do something of their own
  unsigned keeps;         ///< percent of what is received that the user keeps for a while
  std::size_t most_connections;
};

Setup draw_setup(Random& random);
Strategy draw_strategy(Random& random, const Personality& personality);

}  // namespace weir::sim
