#include "os/numa.h"

#include <numa.h>
#include <sched.h>

#include <algorithm>
#include <numeric>

#include "base/no_cancel.h"

namespace weir::os {
namespace {

/// What libnuma says once, at first use: topology does not change under a running server.
struct Topology {
  std::vector<int> nodes;
  std::vector<unsigned> index_of_cpu;
  std::vector<std::vector<unsigned>> nearest;  ///< for each node index: all indexes, itself first

  Topology() {
    const base::NoCancel no_cancel;  // libnuma reads files
    if (numa_available() >= 0) {
      find_nodes();
      find_cpus();
    }
    if (nodes.empty()) nodes.push_back(0);
    for (unsigned index = 0; index < nodes.size(); ++index) nearest.push_back(by_distance(nodes[index]));
  }

  void find_nodes() {
    bitmask* allowed = numa_get_mems_allowed();
    for (int node = 0; node <= numa_max_node(); ++node) {
      const bool usable = numa_bitmask_isbitset(allowed, static_cast<unsigned>(node)) != 0;
      if (usable && numa_node_size64(node, nullptr) > 0) nodes.push_back(node);
    }
    numa_bitmask_free(allowed);
  }

  void find_cpus() {
    if (nodes.empty()) return;
    const int cpus = numa_num_configured_cpus();
    for (int cpu = 0; cpu < cpus; ++cpu) {
      const int node = numa_node_of_cpu(cpu);
      index_of_cpu.push_back(node < 0 ? 0 : by_distance(node).front());
    }
  }

  std::vector<unsigned> by_distance(int from) const {
    std::vector<unsigned> order(nodes.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](unsigned a, unsigned b) { return distance(from, nodes[a]) < distance(from, nodes[b]); });
    return order;
  }

  static int distance(int from, int to) { return from == to ? 0 : numa_distance(from, to); }
};

/// Never destroyed: threads lend and drop until the process has ended.
const Topology& topology() {
  static const Topology& instance = *new Topology;
  return instance;
}

}  // namespace

const std::vector<int>& memory_nodes() { return topology().nodes; }

unsigned home_node_index() {
  const std::vector<unsigned>& index_of_cpu = topology().index_of_cpu;
  const int cpu = sched_getcpu();
  const auto known = cpu >= 0 && static_cast<std::size_t>(cpu) < index_of_cpu.size();
  return known ? index_of_cpu[static_cast<std::size_t>(cpu)] : 0;
}

const std::vector<unsigned>& nearest_first(unsigned node_index) { return topology().nearest.at(node_index); }

}  // namespace weir::os
