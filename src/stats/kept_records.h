#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "stats/segment.h"

// Records of pools and receivers keep their counters when those have ended, so that no sum of the process falls. A new
// one that is like it goes on with them. Where there is no room for another, an ended one makes room: first one whose
// name (of a receiver: whose label) no living one has, for then its series ends whole.

namespace weir::detail {

/// What tells one size class's counters from another's.
struct LaneLabel {
  std::uint32_t bytes = 0;
  std::uint32_t alignment = 0;
};

/// A live record with lanes of its own on each node, the last of a node being nobody's; nullptr when there are too many
/// pools, or when `lanes_short` is set, too many classes.
PoolRecord* take_pool_record(std::string_view name, std::span<const LaneLabel> classes, bool& lanes_short);

/// What tells one receiver's counters from another's.
struct ReceiverLabel {
  std::uint32_t pool = 0;
  std::uint32_t thread = 0;
  std::uint32_t strategy = 0;
  std::uint32_t asked = 0;
};

/// A live record of that label; nullptr when all are of live ones.
ReceiverRecord* take_receiver_record(const ReceiverLabel& label);

}  // namespace weir::detail
