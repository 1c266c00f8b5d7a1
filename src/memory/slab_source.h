#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "memory/buddy_blocks.h"

namespace weir::detail {

/// Where one size class takes its slabs: from one node's blocks or from several in turn, and at most so many bytes.
/// Thread safe as its depot is: under the depot's lock.
class SlabSource {
 public:
  SlabSource(BuddyBlocks& blocks);  // NOLINT(google-explicit-constructor): a blocks is a source without a limit
  /// REQUIRES: there is a blocks, and all are of one map.
  SlabSource(std::vector<BuddyBlocks*> in_turn, std::size_t most_bytes);

  /// As BuddyBlocks's.
  std::uint32_t take(unsigned order);
  void give(std::uint32_t chunk, unsigned order);

  /// As BuddyBlocks's: a depot waits at all the all_blocks that may have something for it.
  void set_has_waiters(Depot& depot, bool has_waiters);
  bool any_has_waiters() const;
  std::size_t with_waiters(std::span<Depot*> out) const;

  SlabMap& map() { return in_turn_.front()->map(); }

 private:
  std::vector<BuddyBlocks*> in_turn_;
  std::size_t next_ = 0;
  std::size_t left_;  ///< bytes that the class may still take
};

}  // namespace weir::detail
