#pragma once

#include <vector>

namespace weir::os {

/// The nodes that have memory which this process may use, ascending; {0} where the kernel has no NUMA or forbids
/// asking.
const std::vector<int>& memory_nodes();

/// Index in memory_nodes() of the node of the CPU that the calling thread runs on, or of the nearest node with memory
/// when that node has none. May be stale at once: the thread may move.
unsigned home_node_index();

/// All memory nodes' indexes, nearest first: the node itself leads.
const std::vector<unsigned>& nearest_first(unsigned node_index);

}  // namespace weir::os
