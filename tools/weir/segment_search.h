#pragma once

#include <string>
#include <vector>

#include "file.h"
#include "process.h"

namespace weir::tool {

/// A process that has a segment.
struct Holder {
  Process process;
  File segment;
};

struct Holders {
  std::vector<Holder> found;      ///< ascending by PID
  std::size_t not_permitted = 0;  ///< processes that could not be looked into
};

Holders find_holders();

/// Throws Failure: no such process, no permission, or it has no segment.
Holder find_holder(pid_t id);

}  // namespace weir::tool
