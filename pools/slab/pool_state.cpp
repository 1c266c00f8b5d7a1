#include "slab/pool_state.h"

#include <weir/error.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "base/fatal.h"
#include "base/units.h"
#include "core/counts.h"
#include "core/magazines.h"
#include "core/options.h"
#include "core/threads.h"
#include "os/numa.h"

namespace weir::detail {
namespace {

// A magazine grows with use to at most a sixty-fourth of what the node has, and all of a thread's together to an eighth,
// beyond the two buffers that each starts with. Where a sixty-fourth is less than four buffers, threads keep none, and
// every one goes straight to its depot: no buffer of a small pool hides.
constexpr std::size_t kMagazineShare = 64;
constexpr std::size_t kThreadShare = 8;
constexpr std::size_t kLeastMagazine = 4;
constexpr std::size_t kMostMagazine = 120;
constexpr std::size_t kSlabsPerNode = 8;
constexpr std::size_t kLoansTold = 8;

std::uint32_t magazine_capacity(std::size_t node_bytes, std::uint32_t bytes) {
  const std::size_t share = node_bytes / kMagazineShare / bytes;
  return share < kLeastMagazine ? 0 : static_cast<std::uint32_t>(std::min(share, kMostMagazine));
}

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::size_t nodes_in_use() { return std::min<std::size_t>(os::memory_nodes().size(), kMaxNodes); }

/// A node's share, in whole huge pages where it is as large as one.
std::size_t share_of_node(std::size_t bytes) {
  const std::size_t share = (bytes + nodes_in_use() - 1) / nodes_in_use();
  return base::round_up(share, share >= base::kHugePage ? base::kHugePage : kGranule);
}

std::size_t region_of_node(const Options& options) {
  return base::round_up(share_of_node(std::max(options.bytes, options.max_bytes)), base::kHugePage);
}

/// The largest slab: one class must not take much of a small pool.
std::size_t most_slab(const Options& options, std::size_t node_bytes) {
  std::size_t largest = options.classes.back();
  if (!options.page_classes.empty()) largest = std::max<std::size_t>(largest, options.page_classes.back());
  const std::size_t wanted = std::min(options.slab_bytes, std::bit_floor(node_bytes / kSlabsPerNode));
  return std::clamp(wanted, std::max(kLeastSlab, std::bit_ceil(largest)), kMostSlab);
}

const Options& validated(const Options& options) {
  if (is_fork_child())
    throw Error(ENOTSUP, "a child of fork cannot make a pool when its parent had one: exec there first");
  validate(options);
  return options;
}

bool lanes_overlap(const PoolRecord& pool, std::uint32_t first, std::size_t count) {
  return pool.live != 0 && first < pool.first_lane + pool.class_count && pool.first_lane < first + count;
}

/// A pool record with lanes of its own; the last lane of a node is nobody's.
PoolRecord* take_pool_record(const Options& options) {
  PoolRecord* record = take_record(segment().pools);
  if (record == nullptr) throw Error(EMFILE, "this process has 16 pools already: share them between its parts");
  const std::lock_guard lock(registry_mutex());
  const std::size_t count = options.classes.size() + options.page_classes.size();
  for (std::uint32_t first = 0; first + count < kLanesPerNode; ++first) {
    const auto& pools = segment().pools;
    if (std::any_of(pools.begin(), pools.end(), [&](auto& pool) { return lanes_overlap(pool, first, count); }))
      continue;
    record->first_lane = first;
    record->class_count = static_cast<std::uint32_t>(count);
    options.name.copy(record->name.data(), record->name.size() - 1);
    return record;
  }
  record->live = 0;
  throw Error(EMFILE, "the pools of this process have 255 size classes together: give WEIR_CLASSES fewer");
}

}  // namespace

PoolState::PoolState(const Options& options)
    : options_(validated(options)),
      node_bytes_(share_of_node(options_.bytes)),
      region_bytes_(region_of_node(options_)),
      classes_(options_.classes, options_.page_classes, most_slab(options_, node_bytes_)),
      reservation_(std::make_unique<Reservation>(region_bytes_ * nodes_in_use())),
      map_(reservation_->base(), region_bytes_ * nodes_in_use()),
      record_(take_pool_record(options_)),
      first_lane_(record_->first_lane),
      cache_budget_{id(), next_serial(), node_bytes_ / kThreadShare} {
  if (options_.trace || options_.scrub) watch_ = std::make_unique<LoanWatch>(options_.trace, options_.scrub);
  make_nodes();
  make_depots();
}

PoolState::~PoolState() {
  retire();
  refuse_loans_out();
}

void PoolState::retire() noexcept {
  for (const auto& depot : depots_) depot->retire();
}

void PoolState::keep_for_ever(std::unique_ptr<PoolState> pool) {
  static std::vector<std::unique_ptr<PoolState>>& kept = *new std::vector<std::unique_ptr<PoolState>>;
  pool->retire();
  const std::lock_guard lock(registry_mutex());
  kept.push_back(std::move(pool));
}

void PoolState::make_nodes() {
  const std::vector<int>& nodes = os::memory_nodes();
  for (std::size_t i = 0; i < nodes_in_use(); ++i) {
    std::byte* region = reservation_->base() + i * region_bytes_;
    nodes_.push_back(std::make_unique<NodeMemory>(map_, region, region_bytes_, nodes[i], id(), options_));
    nodes_.back()->grow(node_bytes_);
  }
}

void PoolState::make_depots() {
  for (std::uint32_t node = 0; node < node_count(); ++node) {
    for (std::uint32_t i = 0; i < classes_.count(); ++i) {
      depots_.push_back(std::make_unique<Depot>(
          nodes_[node]->stock(), classes_[i], lane_index_of(*record_, node, i),
          watch_ ? 0 : magazine_capacity(node_bytes_, classes_[i].bytes), watch_.get(),
          &cache_budget_));
    }
  }
}

std::uint32_t PoolState::id() const { return static_cast<std::uint32_t>(&*record_ - segment().pools.data()); }

Depot& PoolState::home_depot(std::size_t class_index) noexcept {
  return depot(std::min<std::size_t>(rehome_thread(), node_count() - 1), class_index);
}

LoanParts PoolState::lend(std::size_t class_index) noexcept {
  if (is_fork_child()) base::fatal("lend in a child of fork, which has none of its parent's buffers: exec there first");
  Depot& home = home_depot(class_index);
  Magazine* magazine = own_magazine(home);
  if (magazine != nullptr && home.refill(*magazine)) return {magazine->pop(), magazine->lane, magazine->bytes};
  const std::uint32_t node = home.lane_index() / kLanesPerNode;
  const LoanParts loan = lend_nearby(node, class_index);
  if (loan.data == nullptr) home.record().empty.fetch_add(1, std::memory_order_relaxed);
  return loan;
}

/// From the nearest node that has a buffer. When none has, once more: with what the thread itself keeps of other nodes
/// and classes, and with the slabs that other classes do not use.
LoanParts PoolState::lend_nearby(std::uint32_t home, std::size_t class_index) noexcept {
  for (const bool reclaiming : {false, true}) {
    if (reclaiming) flush_own_magazines();
    for (const unsigned node : os::nearest_first(home)) {
      if (node >= node_count()) continue;
      if (reclaiming) reclaim_node(node);
      const LoanParts loan = lend_from(depot(node, class_index));
      if (loan.data != nullptr) return loan;
    }
  }
  return {};
}

bool PoolState::reclaim(const Depot& starved) noexcept { return reclaim_node(starved.lane_index() / kLanesPerNode); }

std::span<const std::unique_ptr<Depot>> PoolState::depots_of(std::size_t node) const {
  return std::span(depots_).subspan(node * classes_.count(), classes_.count());
}

bool PoolState::wait(Depot& starved, Waiter& waiter) noexcept {
  if (!starved.wait(waiter)) return false;
  const std::uint32_t node = starved.lane_index() / kLanesPerNode;
  for (const auto& depot : depots_of(node)) depot->close_magazines();
  flush_own_magazines();
  reclaim_node(node);
  starved.feed();
  return true;
}

bool PoolState::reclaim_node(std::size_t node) noexcept {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < classes_.count(); ++i) bytes += depot(node, i).give_back_slabs();
  return bytes > 0;
}

LoanParts PoolState::lend_from(Depot& depot) noexcept {
  std::byte* buffer = nullptr;
  if (depot.take({&buffer, 1}) == 0) return {};
  depot.record().lends.fetch_add(1, std::memory_order_relaxed);
  if (LoanWatch* watch = depot.watch()) watch->on_lend(buffer, depot.bytes());
  return {buffer, depot.lane(), depot.bytes()};
}

LoanParts PoolState::adopt(std::byte* buffer) noexcept {
  if (is_fork_child())
    base::fatal("adopt in a child of fork, which has none of its parent's buffers: exec there first");
  if (!map_.contains(buffer))
    base::fatal("adopt(%p): the pool '%s' has no such memory", static_cast<void*>(buffer), options_.name.c_str());
  const std::uint32_t granule = map_.start_of(buffer);
  const Slab& slab = map_[granule];
  const Depot* depot = slab.state == Slab::State::cut ? depot_of(slab.lane * kMagazineBytes) : nullptr;
  if (depot == nullptr || !depot->is_buffer(granule, buffer)) {
    base::fatal("adopt(%p): no buffer of the pool '%s' starts there", static_cast<void*>(buffer),
                options_.name.c_str());
  }
  return {buffer, depot->lane(), depot->bytes()};
}

void PoolState::reserve(std::size_t bytes) {
  if (is_fork_child()) throw Error(ENOTSUP, "a child of fork cannot grow its parent's pool: exec there first");
  for (const auto& node : nodes_) node->grow(share_of_node(bytes));
  for (const auto& depot : depots_) depot->feed();
}

std::size_t PoolState::trim() noexcept {
  if (is_fork_child()) return 0;
  std::size_t bytes = 0;
  for (const auto& depot : depots_) depot->give_back_slabs();
  for (const auto& node : nodes_) bytes += node->trim();
  return bytes;
}

std::vector<Arena> PoolState::arenas() const {
  std::vector<Arena> all;
  for (const auto& node : nodes_) {
    for (Arena& arena : node->arenas()) all.push_back(std::move(arena));
  }
  return all;
}

std::byte* PoolState::take_pages(std::size_t bytes) {
  for (const unsigned node : os::nearest_first(rehome_thread())) {
    if (node >= node_count()) continue;
    if (std::byte* pages = nodes_[node]->stock().take_pages(bytes)) return pages;
    if (!reclaim_node(node)) continue;
    if (std::byte* pages = nodes_[node]->stock().take_pages(bytes)) return pages;
  }
  return nullptr;
}

void PoolState::give_pages(std::byte* where, std::size_t bytes) {
  const auto node = static_cast<std::size_t>(where - reservation_->base()) / region_bytes_;
  nodes_[node]->stock().give_pages(where, bytes);
}

void PoolState::add_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  holders_.push_back(&holder);
}

void PoolState::remove_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  std::erase(holders_, &holder);
}

Counts PoolState::counts() const { return counts_of_pool(segment(), *record_); }

void PoolState::refuse_loans_out() const {
  for (const auto& depot : depots_) {
    const Counts counts = counts_of_lane(segment(), depot->lane_index());
    if (counts.user == 0 && counts.kernel_ring == 0 && counts.kernel_request == 0) continue;
    if (counts.user > counts.capacity) {
      base::fatal("pool '%s': buffers of %" PRIu32
                  " bytes were returned more often than lent: two parts of the program "
                  "held one",
                  options_.name.c_str(), depot->bytes());
    }
    if (watch_) std::fputs(watch_->describe_oldest(kLoansTold).c_str(), stderr);
    base::fatal("pool '%s' destroyed while buffers of %" PRIu32 " bytes are out: %" PRIu64 " with users, %" PRIu64
                " with the kernel; drop all loans and rings before the pool",
                options_.name.c_str(), depot->bytes(), counts.user, counts.kernel_ring + counts.kernel_request);
  }
}

}  // namespace weir::detail
