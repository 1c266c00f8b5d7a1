#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/units.h"
#include "checks.h"
#include "memory/arena.h"
#include "stats/segment.h"

namespace weir::tool {
namespace {

using base::format_size;

constexpr const char* kRoot = "as root: ";

std::string numbers_of(const std::vector<int>& nodes) { return fmt::format("{}", fmt::join(nodes, ",")); }

bool is_locked(const Machine& machine, const Plan& plan) {
  return machine.may_exceed_memlock || machine.memlock_limit >= plan.memlock_bytes;
}

const char* pages_instead(const Machine& machine) {
  return machine.transparent == "always" || machine.transparent == "madvise"
             ? "the pool falls back on transparent huge pages, of which some may be missing"
             : "the pool falls back on pages of 4 KiB, which cost more for each access";
}

Finding check_huge_pages_of(const NodeFacts& node, const Machine& machine, const Plan& plan) {
  const std::uint64_t needed = plan.huge_pages_a_node();
  const std::string what = fmt::format("huge pages, node {}", node.number);
  const std::string fact = fmt::format("{} of 2 MiB free, {} needed", node.huge.free, needed);
  if (node.huge.free >= needed) return {Health::ok, what, fact, "", ""};
  const std::string fix =
      fmt::format("{}echo {} >/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages", kRoot,
                  node.huge.total + needed - node.huge.free, node.number);
  return {Health::degraded, what, fact, pages_instead(machine), fix};
}

Finding check_available(const NodeFacts& node, const Plan& plan) {
  const std::string what = fmt::format("memory, node {}", node.number);
  if (plan.has_huge_pages(node)) return {Health::ok, what, "the pool's is reserved as huge pages", "", ""};
  const std::string fact =
      fmt::format("{} available, {} needed", format_size(node.available), format_size(plan.node_bytes));
  if (node.available >= plan.node_bytes) return {Health::ok, what, fact, "", ""};
  return {Health::broken, what, fact, "the pool cannot be made, or something is killed for it",
          "plan for fewer connections: weir doctor --load CONNECTIONS,BYTES"};
}

Finding check_group(const os::GroupLimit& limit, const Plan& plan) {
  const char* what = "control group";
  const std::uint64_t needed = detail::needed_of_group(plan.small_bytes);
  const std::string fact =
      fmt::format("{} of {} left, {} needed", format_size(limit.left()), format_size(limit.bytes), format_size(needed));
  if (limit.left() >= needed) return {Health::ok, what, fact, "", ""};
  return {Health::broken, what, fact, "the pool cannot be made",
          fmt::format("{}echo {} >{}", kRoot, limit.used + needed, limit.file)};
}

}  // namespace

std::string memlock_fix(const Plan& plan) {
  const std::uint64_t kib = base::round_up(plan.memlock_bytes, base::kMiB) / base::kKiB;
  return fmt::format("{0}ulimit -l {1}, or LimitMEMLOCK={1}K in the server's systemd unit", kRoot, kib);
}

Findings check_nodes(const Machine& machine, const Plan& /*plan*/) {
  std::vector<int> with_memory;
  std::vector<int> without_memory;
  std::vector<int> without_cpus;
  for (const NodeFacts& node : machine.nodes) {
    (node.has_memory ? with_memory : without_memory).push_back(node.number);
    if (!node.has_cpus) without_cpus.push_back(node.number);
  }
  std::string fact =
      fmt::format("memory on {} {}", with_memory.size() == 1 ? "node" : "nodes", numbers_of(with_memory));
  if (!without_memory.empty()) fact += fmt::format(", none to be had on {}", numbers_of(without_memory));
  if (!without_cpus.empty()) fact += fmt::format(", no CPU on {}", numbers_of(without_cpus));
  const char* nearest = without_memory.empty() ? "" : "threads there get memory of the nearest node";
  Findings all{{Health::ok, "NUMA", fact, nearest, ""}};
  if (with_memory.size() > detail::kMaxNodes) {
    all.front() = {Health::degraded, "NUMA", fact, "a pool uses the first 8 alone",
                   "start a server for each part of the machine: numactl --membind NODES --cpunodebind NODES"};
  }
  if (machine.bind_error != 0) {
    all.push_back({Health::degraded, "binding", fmt::format("refused: {}", std::strerror(-machine.bind_error)),
                   "memory may be on another node than its threads", "with Docker: docker run --cap-add SYS_NICE"});
  }
  return all;
}

Findings check_huge_pages(const Machine& machine, const Plan& plan) {
  Findings all;
  for (const NodeFacts& node : machine.memory_nodes()) all.push_back(check_huge_pages_of(node, machine, plan));
  const auto& limit = machine.huge_limit;
  if (limit && limit->left() < plan.bytes) {
    all.push_back({Health::degraded, "huge pages, control group",
                   fmt::format("{} of {} left, {} needed", format_size(limit->left()), format_size(limit->bytes),
                               format_size(plan.bytes)),
                   pages_instead(machine), fmt::format("{}echo {} >{}", kRoot, limit->used + plan.bytes, limit->file)});
  }
  std::uint64_t giant = 0;
  for (const NodeFacts& node : machine.nodes) giant += node.giant.free;
  const char* meaning = giant > 0 ? "WEIR_PAGES=auto takes those that fit whole" : "";
  all.push_back({Health::ok, "pages of 1 GiB", fmt::format("{} free, none needed", giant), meaning, ""});
  return all;
}

Findings check_transparent(const Machine& machine, const Plan& plan) {
  const char* what = "transparent huge pages";
  const bool there = machine.transparent == "always" || machine.transparent == "madvise";
  const std::string fact = machine.transparent.empty() ? "not in this kernel" : machine.transparent;
  if (there || plan.small_bytes == 0) return {{Health::ok, what, fact, plan.small_bytes == 0 ? "not needed" : "", ""}};
  return {{Health::degraded, what, fact, "without reserved huge pages the pool has pages of 4 KiB",
           machine.transparent.empty()
               ? ""
               : fmt::format("{}echo madvise >/sys/kernel/mm/transparent_hugepage/enabled", kRoot)}};
}

Findings check_memory(const Machine& machine, const Plan& plan) {
  Findings all;
  for (const NodeFacts& node : machine.memory_nodes()) all.push_back(check_available(node, plan));
  if (machine.memory_limit && plan.small_bytes > 0) all.push_back(check_group(*machine.memory_limit, plan));
  return all;
}

Findings check_memlock(const Machine& machine, const Plan& plan) {
  const bool unlimited = machine.memlock_limit == UINT64_MAX;
  const std::string fact = (unlimited ? "unlimited" : format_size(machine.memlock_limit)) +
                           (machine.may_exceed_memlock && !unlimited ? ", which this user may exceed" : "") +
                           fmt::format("; {} needed", format_size(plan.memlock_bytes));
  if (is_locked(machine, plan)) return {{Health::ok, "memlock", fact, "", ""}};
  const bool refuses = machine.memlock_limit < plan.ring_memlock_bytes;
  std::string meaning = plan.small_bytes == 0 ? "" : "the pool's memory may be swapped";
  if (refuses) {
    meaning += meaning.empty() ? "" : "; ";
    meaning += "newer kernels refuse so many io_urings and buffer rings to this user";
  }
  return {{Health::degraded, "memlock", fact, meaning, memlock_fix(plan)}};
}

Findings check_swap(const Machine& machine, const Plan& plan) {
  if (machine.swap_bytes == 0) return {{Health::ok, "swap", "none", "", ""}};
  const std::string fact = format_size(machine.swap_bytes);
  if (plan.small_bytes == 0 || is_locked(machine, plan))
    return {{Health::ok, "swap", fact, "the pool's memory is never swapped", ""}};
  return {{Health::degraded, "swap", fact,
           "the pool's memory is not locked: receives wait for the disk when it is swapped",
           "raise memlock as above, or as root: swapoff -a"}};
}

}  // namespace weir::tool
