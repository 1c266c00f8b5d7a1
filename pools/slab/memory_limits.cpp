#include "slab/memory_limits.h"

#include <weir/detail/magazine.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/units.h"
#include "memory/slab_map.h"
#include "os/numa.h"

namespace weir::detail {
namespace {

/// A pool that grows has address space for so many small arenas on a node, each of which takes a huge page's.
constexpr std::size_t kSmallArenas = 128;

std::size_t round_down(std::size_t bytes) { return bytes / kChunkBytes * kChunkBytes; }

std::string list_of(const std::vector<int>& nodes) {
  std::string text;
  for (const int node : nodes) text += (text.empty() ? "" : ",") + std::to_string(node);
  return text;
}

std::vector<bool> lending_nodes(const std::vector<int>& wanted) {
  const std::vector<int>& all = os::memory_nodes();
  std::vector<bool> lends(std::min<std::size_t>(all.size(), kMaxNodes), wanted.empty());
  for (const int node : wanted) {
    const auto index = static_cast<std::size_t>(std::find(all.begin(), all.end(), node) - all.begin());
    if (index >= lends.size()) {
      throw Error(EINVAL, "WEIR_NODES='" + list_of(wanted) + "' has node " + std::to_string(node) +
                              ", but memory is on " + list_of(all) + " here; for example: export WEIR_NODES=all");
    }
    lends[index] = true;
  }
  return lends;
}

/// Without a maximum the start rounds up: to whole huge pages, and to something on every node.
std::size_t start_bytes(const Options& options, std::size_t nodes) {
  if (options.max_bytes > 0) return std::min(base::round_up(options.bytes, kChunkBytes), round_down(options.max_bytes));
  const std::size_t bytes = std::max(options.bytes, nodes * kChunkBytes);
  return base::round_up(bytes, bytes >= nodes * base::kHugePage ? base::kHugePage : kChunkBytes);
}

}  // namespace

MemoryLimits::MemoryLimits(const Options& options) : lends(lending_nodes(options.nodes)) {
  const auto nodes = static_cast<std::size_t>(std::count(lends.begin(), lends.end(), true));
  start = start_bytes(options, nodes);
  start_on_node = base::round_up((start + nodes - 1) / nodes, kChunkBytes);
  most = options.max_bytes > 0 ? round_down(options.max_bytes) : start;
  most_on_node = options.node_max_bytes > 0 ? std::min(most, round_down(options.node_max_bytes)) : most;
  const std::size_t first = std::min(start_on_node, most_on_node);
  most_at_once = std::max(first, std::min(most - start, most_on_node - first));
  region = most > start ? base::round_up(most_on_node, base::kHugePage) + kSmallArenas * base::kHugePage
                        : base::round_up(start_on_node, base::kHugePage) + base::kHugePage;
}

}  // namespace weir::detail
