#include "faked_nodes.h"

#include <numa.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace weir::testing {
namespace {

std::vector<int>& nodes() {
  static std::vector<int>& numbers = *new std::vector<int>{0, 1};
  return numbers;
}

thread_local int cpu = 0;

}  // namespace

void fake_nodes(std::vector<int> numbers) { nodes() = std::move(numbers); }

void run_on_node(unsigned index) { cpu = static_cast<int>(index); }

}  // namespace weir::testing

using weir::testing::nodes;

extern "C" {

int numa_available() { return 0; }
int numa_max_node() { return nodes().back(); }
bitmask* numa_get_mems_allowed() { return nullptr; }
void numa_bitmask_free(bitmask* mask) {  // libnuma gives back its own at the end, by this name too
  if (mask == nullptr) return;
  std::free(mask->maskp);
  std::free(mask);
}
int numa_bitmask_isbitset(const bitmask* /*mask*/, unsigned node) {
  return std::ranges::count(nodes(), static_cast<int>(node)) > 0 ? 1 : 0;
}
long long numa_node_size64(int /*node*/, long long* /*free*/) { return 1LL << 30; }
int numa_num_configured_cpus() { return static_cast<int>(nodes().size()); }
int numa_node_of_cpu(int cpu) { return nodes().at(static_cast<std::size_t>(cpu)); }
int numa_distance(int from, int to) { return from == to ? 10 : 20; }
int sched_getcpu() noexcept { return weir::testing::cpu; }

}  // extern "C"
