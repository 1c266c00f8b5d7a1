#include "plan.h"

#include <fmt/format.h>
#include <weir/options.h>

#include <algorithm>
#include <bit>

#include "base/units.h"
#include "memory/size_classes.h"
#include "options/strategies.h"

namespace weir::tool {
namespace {

using base::round_up;
using base::size_text;

constexpr std::uint64_t kLeastEntries = 64;  // fewer, and a burst costs several times as much for each message
constexpr std::uint64_t kMostEntries = 4096;
constexpr std::uint64_t kPartsOfRings = 2;     // rings take what one of so many parts can spare
constexpr std::uint64_t kBusyPart = 4;         // one connection of so many has data at once
constexpr std::uint64_t kSpareParts = 64;      // a thread's magazines have at most one of so many parts of a class
constexpr std::uint64_t kLeastSpareParts = 8;  // of those
constexpr std::uint64_t kOtherFiles = 64;
constexpr std::uint64_t kOtherThreads = 2;  // the first, and a pool's helper
constexpr std::uint64_t kFilesOfReceiver = 4;
constexpr std::uint64_t kEntryBytes = 16;
constexpr std::uint64_t kUringBytes = 384 * base::kKiB;  // of an io_uring with 1,024 entries and 16,384 completions

std::uint64_t divide_up(std::uint64_t all, std::uint64_t by) { return (all + by - 1) / by; }

/// The smallest class that holds it, or the largest.
std::uint32_t class_for(std::uint64_t bytes) {
  const std::vector<std::uint32_t> classes = Options{}.classes;
  const auto fits = std::lower_bound(classes.begin(), classes.end(), bytes);
  return fits != classes.end() ? *fits : classes.back();
}

std::uint64_t slab_bytes_for(std::uint64_t buffers, std::uint32_t bytes) {
  const detail::SizeClass size = detail::make_size_class(bytes, detail::Alignment::line, Options{}.slab_bytes);
  return divide_up(buffers, size.per_slab) * size.slab_bytes;
}

std::uint32_t entries_for(const Load& load, unsigned receivers) {
  const std::uint64_t busy = divide_up(load.connections, receivers * kBusyPart);
  return static_cast<std::uint32_t>(std::bit_ceil(std::clamp(busy, kLeastEntries, kMostEntries)));
}

/// The first rung of the ladder that a node stands on now.
const char* pages_for(const Machine& machine, const Plan& plan) {
  if (plan.small_bytes < plan.bytes) return "auto";
  return machine.transparent == "always" || machine.transparent == "madvise" ? "thp" : "4k";
}

/// Every node has the same part, so that it serves the receivers and connections that may come to it.
void size_memory(Plan& plan, const Load& load, std::uint64_t nodes) {
  const std::uint64_t receivers = divide_up(plan.receivers, nodes);
  const std::uint64_t rings = slab_bytes_for(receivers * plan.ring_buffers, plan.buffer_bytes) +
                              receivers * round_up(plan.ring_entries * kEntryBytes, detail::kLeastSlab);
  const std::uint64_t messages =
      slab_bytes_for(divide_up(load.connections, nodes) * plan.buffers_a_message, plan.buffer_bytes);
  const std::uint64_t spare = divide_up((rings + messages) * std::max(kLeastSpareParts, receivers), kSpareParts);
  // Rings are filled only while half of the pool is free: beside them, then, are the messages of who is busy.
  const std::uint64_t at_rest = kPartsOfRings * (rings + messages / kBusyPart);
  plan.node_bytes = round_up(std::max(rings + messages, at_rest) + spare, base::kHugePage);
  plan.ring_bytes = rings * nodes;
  plan.message_bytes = messages * nodes;
  plan.spare_bytes = plan.node_bytes * nodes - plan.ring_bytes - plan.message_bytes;
  plan.bytes = plan.node_bytes * nodes;
}

}  // namespace

std::uint64_t Plan::huge_pages_a_node() const { return node_bytes / base::kHugePage; }

bool Plan::has_huge_pages(const NodeFacts& node) const {
  return may_have_huge_pages && node.huge.free >= huge_pages_a_node();
}

Plan make_plan(const Load& load, const Machine& machine) {
  const bool rings = machine.uring.error == 0 && machine.uring.multishot && machine.uring.buffer_ring_error == 0;
  Plan plan{.receivers = std::max(machine.cpus, 1U), .buffer_bytes = class_for(load.message_bytes), .variables = {}};
  plan.buffers_a_message = divide_up(load.message_bytes, plan.buffer_bytes);
  plan.ring_entries = rings ? entries_for(load, plan.receivers) : 0;
  plan.ring_buffers = plan.buffer_bytes <= detail::kLargestOfRing ? plan.ring_entries : 0;
  size_memory(plan, load, std::max<std::uint64_t>(machine.memory_nodes().size(), 1));
  plan.may_have_huge_pages = !machine.huge_limit || machine.huge_limit->left() >= plan.bytes;
  for (const NodeFacts& node : machine.memory_nodes())
    plan.small_bytes += plan.has_huge_pages(node) ? 0 : plan.node_bytes;
  const std::uint64_t uring = kUringBytes + round_up(plan.ring_entries * kEntryBytes, base::kSmallPage);
  plan.ring_memlock_bytes = machine.uring.error == 0 ? plan.receivers * uring : 0;
  plan.memlock_bytes = plan.ring_memlock_bytes + plan.small_bytes;
  plan.files = load.connections + plan.receivers * kFilesOfReceiver + kOtherFiles;
  plan.threads = plan.receivers + kOtherThreads;
  plan.variables = {{"WEIR_BYTES", size_text(plan.bytes)},
                    {"WEIR_PAGES", pages_for(machine, plan)},
                    {"WEIR_RECV", "auto"},
                    {"WEIR_RECV_BYTES", size_text(plan.buffer_bytes)}};
  if (rings) plan.variables.emplace_back("WEIR_RING_ENTRIES", fmt::to_string(plan.ring_entries));
  return plan;
}

}  // namespace weir::tool
