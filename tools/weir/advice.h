#pragma once

#include <string>
#include <vector>

#include "snapshot.h"

namespace weir::tool {

/// One change that would have served better.
struct Advice {
  std::string pool;     ///< the pool's name
  std::string finding;  ///< what was seen, with its numbers
  std::string effect;   ///< what the change brings, and what is not known of it
  std::string line;     ///< the variable to set, or the command
};

/// What the counts of the snapshot speak for; empty: nothing to change. Of a segment that may say anything.
std::vector<Advice> advise(const Snapshot& snapshot);

/// `later` with only what was counted since `earlier`; what is there now, and high waters, stay.
Snapshot since(const Snapshot& later, const Snapshot& earlier);

}  // namespace weir::tool
