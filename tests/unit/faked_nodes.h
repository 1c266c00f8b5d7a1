#pragma once

#include <vector>

// A machine with other NUMA nodes than this one: libnuma's functions and sched_getcpu(), in a program that links
// faked_nodes.cpp. The kernel knows nothing of it, so that no memory is really bound to them.

namespace weir::testing {

/// The system's numbers of the nodes, each with memory and one CPU: the first node's is CPU 0. REQUIRES: as the
/// library, which asks once, nothing has asked yet.
void fake_nodes(std::vector<int> numbers);

/// The calling thread runs on the CPU of the node with that index, from here on.
void run_on_node(unsigned index);

}  // namespace weir::testing
