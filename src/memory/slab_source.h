#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "memory/buddy_blocks.h"

namespace weir::detail {

/// Where one size class takes its slabs: from one node's stock or from several in turn, and at most so many bytes.
/// Thread safe as its depot is: under the depot's lock.
class SlabSource {
 public:
  SlabSource(NodeStock& stock);  // NOLINT(google-explicit-constructor): a stock is a source without a limit
  /// REQUIRES: there is a stock, and all are of one map.
  SlabSource(std::vector<NodeStock*> in_turn, std::size_t most_bytes);

  /// As NodeStock's.
  std::uint32_t take(unsigned order);
  void give(std::uint32_t granule, unsigned order);

  /// As NodeStock's: a depot waits at all the stocks that may have something for it.
  void set_hungry(Depot& depot, bool hungry);
  bool anybody_hungry() const;
  std::size_t hungry(std::span<Depot*> out) const;

  SlabMap& map() { return in_turn_.front()->map(); }

 private:
  std::vector<NodeStock*> in_turn_;
  std::size_t next_ = 0;
  std::size_t left_;  ///< bytes that the class may still take
};

}  // namespace weir::detail
