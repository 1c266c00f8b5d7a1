#pragma once

#include <weir/options.h>

#include <cstddef>
#include <vector>

namespace weir::detail {

/// What the options say of a pool's memory, in whole chunks.
struct MemoryLimits {
  /// Throws Error when they name a node that has no memory.
  explicit MemoryLimits(const Options& options);

  std::vector<bool> lends;  ///< by the node's index: memory is taken from there
  std::size_t start;        ///< mapped at construction, over all nodes
  std::size_t start_on_node;
  std::size_t most;  ///< mapped at once
  std::size_t most_on_node;
  std::size_t most_at_once;  ///< the largest piece of memory that a node may have
  std::size_t region;        ///< address space of each node
};

}  // namespace weir::detail
