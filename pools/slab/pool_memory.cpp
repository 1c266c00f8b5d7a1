#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/units.h"
#include "cache/threads.h"
#include "memory/spread.h"
#include "os/numa.h"
#include "slab/pool_state.h"

// How a pool's memory comes and goes.

namespace weir::detail {
namespace {

[[noreturn]] void refuse_growth(std::size_t bytes, std::size_t room) {
  const char* variable = bytes <= room ? "WEIR_NODE_MAX_BYTES" : "WEIR_MAX_BYTES";
  throw Error(ENOMEM,
              "no room for " + base::format_size(bytes) + " more: the pool's budget is spent; raise " + variable);
}

}  // namespace

void PoolState::make_nodes() {
  const auto lending = static_cast<std::size_t>(std::count(limits_.lends.begin(), limits_.lends.end(), true));
  for (std::size_t i = 0; i < limits_.lends.size(); ++i) {
    std::byte* region = reservation_->base() + i * limits_.region;
    nodes_.push_back(std::make_unique<NodeMemory>(map_, region, limits_.region, os::memory_nodes()[i], id(), options_));
    if (limits_.lends[i] && needs_helper())
      nodes_.back()->blocks().set_alarm(alarm_, i, (options_.low_water_bytes + lending - 1) / lending);
  }
  const std::vector<std::size_t> shares = spread(limits_.start, rooms(), limits_.most);
  if (shares.empty()) {
    throw Error(EINVAL, "WEIR_NODE_MAX_BYTES='" + std::to_string(options_.node_max_bytes) +
                            "' is less than a node's part of the " + base::format_size(limits_.start) +
                            " of WEIR_BYTES: raise it, or lower WEIR_BYTES");
  }
  tell_degraded(map_shares(shares));
}

std::size_t PoolState::room() const {
  std::size_t room = limits_.most;
  for (const auto& node : nodes_) room -= std::min(room, node->mapped_bytes());
  return room;
}

/// What each node may still map, as long as the pool may.
std::vector<std::size_t> PoolState::rooms() const {
  std::vector<std::size_t> rooms;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::size_t mapped = nodes_[i]->mapped_bytes();
    rooms.push_back(limits_.lends[i] && mapped < limits_.most_on_node ? limits_.most_on_node - mapped : 0);
  }
  return rooms;
}

/// On all nodes or, when one has not the memory, on none: nobody is lent of it before all are mapped. Returns why an
/// arena is less than was asked for; empty when none is.
std::string PoolState::map_shares(const std::vector<std::size_t>& shares) {
  std::vector<std::pair<NodeMemory*, FreshArena>> fresh;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0) fresh.emplace_back(nodes_[i].get(), nodes_[i]->map(shares[i]));
  }
  std::string why;
  for (auto& [node, arena] : fresh) {
    if (!arena->grade.reason.empty()) {
      why = base::format_size(arena->grade.bytes) + " on node " + std::to_string(node->node()) +
            " are less than was asked for: " + arena->grade.reason;
    }
    node->add(std::move(arena));
  }
  return why;
}

void PoolState::tell_degraded(const std::string& why) noexcept {
  if (!why.empty()) alerts_.tell(AlertKind::degraded, [&] { return why; });
}

/// A huge page, where each node that has room may have one: to be alike comes first.
std::size_t PoolState::least_reserved() const {
  const std::vector<std::size_t> all = rooms();
  const auto growing = std::count_if(all.begin(), all.end(), [](std::size_t bytes) { return bytes > 0; });
  return room() / base::kHugePage >= static_cast<std::size_t>(growing) ? base::kHugePage : kChunkBytes;
}

void PoolState::reserve(std::size_t bytes) {
  if (is_fork_child()) throw Error(ENOTSUP, "a child of fork cannot grow its parent's pool: exec there first");
  if (bytes == 0) return;
  std::string why;
  {
    const std::lock_guard lock(memory_mutex_);
    const std::vector<std::size_t> shares = spread(bytes, rooms(), room(), least_reserved());
    if (shares.empty()) refuse_growth(bytes, room());
    why = map_shares(shares);
    wake_waiters();
  }
  tell_degraded(why);
}

void PoolState::grow(std::size_t node) { tell_degraded(map_more(node)); }

std::string PoolState::map_more(std::size_t node) {
  const std::lock_guard lock(memory_mutex_);
  const std::size_t most = std::min(room(), rooms()[node]);
  const std::size_t refused = nodes_[node]->blocks().refused_bytes();
  const std::size_t wanted = std::max({options_.grow_bytes, classes_.largest_slab(), refused});
  if (most == 0) refuse_growth(room() > 0 ? std::min(wanted, room()) : wanted, room());
  std::vector<std::size_t> only(nodes_.size());
  only[node] = most;
  std::string why = map_shares(spread(std::min(wanted, most), only, most));
  wake_waiters();
  return why;
}

void PoolState::wake_waiters() {
  for (const auto& depot : depots_) depot->feed();
}

std::size_t PoolState::trim() noexcept {
  if (is_fork_child()) return 0;
  const std::lock_guard lock(memory_mutex_);
  std::size_t bytes = 0;
  for (const auto& depot : depots_) depot->give_back_slabs();
  for (const auto& node : nodes_) bytes += node->trim();
  return bytes;
}

void PoolState::decay(std::chrono::seconds age) {
  const std::lock_guard lock(memory_mutex_);
  for (const auto& depot : depots_) depot->give_back_slabs();
  for (const auto& node : nodes_) node->decay(age);
  wake_waiters();  // what the depots gave back may be for them
}

std::size_t PoolState::free_bytes() const {
  std::size_t bytes = 0;
  for (const auto& node : nodes_) bytes += node->blocks().free_bytes();
  return bytes;
}

std::size_t PoolState::spare_bytes() const noexcept {
  std::size_t bytes = free_bytes();
  for (const auto& depot : depots_) {
    const LaneRecord& lane = depot->record();
    bytes += lane.free.load(std::memory_order_relaxed) * lane.bytes;
  }
  const std::size_t reserve = limits_.start / 2;
  return bytes - std::min(bytes, reserve);
}

std::vector<Arena> PoolState::arenas() const {
  std::vector<Arena> all;
  for (const auto& node : nodes_) {
    for (Arena& arena : node->arenas()) all.push_back(std::move(arena));
  }
  return all;
}

std::vector<Arena> PoolState::pin_arenas(const std::function<bool(const Arena&)>& wanted) {
  std::vector<Arena> all;
  for (const auto& node : nodes_) {
    for (Arena& arena : node->pin(wanted)) all.push_back(std::move(arena));
  }
  return all;
}

void PoolState::unpin_arena(const std::byte* base) { node_of(base).unpin(base); }

NodeMemory& PoolState::node_of(const std::byte* address) {
  return *nodes_[static_cast<std::size_t>(address - reservation_->base()) / limits_.region];
}

std::byte* PoolState::take_pages(std::size_t bytes) {
  for (const unsigned node : os::nearest_first(rehome_thread())) {
    if (node >= node_count()) continue;
    if (std::byte* pages = nodes_[node]->blocks().take_pages(bytes)) return pages;
    if (!reclaim_for(node)) continue;
    if (std::byte* pages = nodes_[node]->blocks().take_pages(bytes)) return pages;
  }
  return nullptr;
}

void PoolState::give_pages(std::byte* where, std::size_t bytes) {
  node_of(where).blocks().give_pages(where, bytes);
  wake_waiters();
}

}  // namespace weir::detail
