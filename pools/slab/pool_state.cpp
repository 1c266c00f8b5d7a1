#include "slab/pool_state.h"

#include <weir/detail/guard.h>
#include <weir/error.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/fatal.h"
#include "base/units.h"
#include "cache/magazines.h"
#include "cache/slices.h"
#include "cache/threads.h"
#include "options/options.h"
#include "os/numa.h"
#include "os/process.h"
#include "stats/counts.h"
#include "stats/kept_records.h"

namespace weir::detail {
namespace {

// A magazine grows with use to at most a sixty-fourth of what the node has, and all of a thread's together to a
// thirty-second, beyond the two buffers that each starts with. Where a sixty-fourth is less than four buffers, threads
// keep none, and every one goes straight to its depot: no buffer of a small pool hides.
constexpr std::size_t kMagazineShare = 64;
constexpr std::size_t kThreadShare = 32;
constexpr std::size_t kLeastMagazine = 4;
constexpr std::size_t kMostMagazine = 120;
constexpr std::size_t kSlabsPerNode = 8;
constexpr std::size_t kLoansTold = 8;

std::uint32_t magazine_capacity(std::size_t node_bytes, std::uint32_t bytes) {
  const std::size_t share = node_bytes / kMagazineShare / bytes;
  return share < kLeastMagazine ? 0 : static_cast<std::uint32_t>(std::min(share, kMostMagazine));
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

PoolRecord* take_record_for(const Options& options, const SizeClasses& classes) {
  std::vector<LaneLabel> labels;
  for (std::size_t i = 0; i < classes.count(); ++i) labels.push_back({classes[i].bytes, alignment_of(classes[i])});
  bool lanes_short = false;
  PoolRecord* record = take_pool_record(options.name, labels, lanes_short);
  if (record != nullptr) return record;
  throw Error(EMFILE, lanes_short ? "the pools of this process have 255 size classes together: give WEIR_CLASSES fewer"
                                  : "this process has 16 pools already: share them between its parts");
}

}  // namespace

PoolState::PoolState(const Options& options)
    : options_(validated(options)),
      limits_(options_),
      classes_(options_.classes, options_.page_classes, most_slab(options_, limits_.start_on_node)),
      reservation_(std::make_unique<Reservation>(limits_.region * limits_.lends.size())),
      map_(reservation_->base(), limits_.region * limits_.lends.size()),
      record_(take_record_for(options_, classes_)),
      first_lane_(record_->first_lane),
      cache_budget_{id(), limits_.start_on_node / kThreadShare} {
  prepare_threads();
  if (options_.trace || options_.scrub) {
    tracker_ = std::make_unique<LoanTracker>(*record_, id(), options_.trace, options_.scrub);
  }
  refuse_classes_never_lent();
  refuse_small_class_limits();
  record_->base = reinterpret_cast<std::uintptr_t>(reservation_->base());
  make_nodes();
  make_depots();
  publish_slices(id(), &map_);
}

PoolState::~PoolState() {
  retire();
  refuse_loans_out();
  for (const Arena& arena : arenas()) guard_uncut(arena.base, arena.grade.bytes);  // the memory may be another's soon
}

void PoolState::retire() noexcept {
  for (const auto& depot : depots_) depot->retire();
  publish_slices(id(), nullptr);
}

void PoolState::keep_for_ever(std::unique_ptr<PoolState> pool) {
  static std::vector<std::unique_ptr<PoolState>>& kept = *new std::vector<std::unique_ptr<PoolState>>;
  pool->retire();
  const std::lock_guard lock(registry_mutex());
  kept.push_back(std::move(pool));
}

bool PoolState::needs_helper() const {
  return options_.grow_bytes > 0 || options_.decay_seconds > 0 || options_.on_low_water || options_.on_exhausted;
}

/// What a class may have on each node.
std::size_t PoolState::class_limit(const SizeClass& size_class) const {
  for (const ClassLimit& limit : options_.class_max_bytes) {
    if (limit.buffer_bytes == size_class.bytes) return limit.most_bytes / limits_.lends.size();
  }
  return SIZE_MAX;
}

void PoolState::refuse_small_class_limits() const {
  for (std::size_t i = 0; i < classes_.count(); ++i) {
    const SizeClass& each = classes_[i];
    if (class_limit(each) >= each.slab_bytes) continue;
    throw Error(EINVAL, "WEIR_CLASS_MAX_BYTES gives buffers of " + base::format_size(each.bytes) +
                            " less than the slab of " + base::format_size(each.slab_bytes) +
                            " that they are cut from, on each node: give them " +
                            base::format_size(each.slab_bytes * limits_.lends.size()) + " or more");
  }
}

void PoolState::refuse_classes_never_lent() const {
  const auto nodes = static_cast<std::size_t>(std::count(limits_.lends.begin(), limits_.lends.end(), true));
  for (std::size_t i = 0; i < classes_.count(); ++i) {
    const SizeClass& each = classes_[i];
    if (each.slab_bytes <= limits_.most_at_once) continue;
    const char* variable = each.alignment == Alignment::page ? "WEIR_PAGE_CLASSES" : "WEIR_CLASSES";
    throw Error(EINVAL, std::string(variable) + " has buffers of " + base::format_size(each.bytes) +
                            ", which can never be lent: they are cut from " + base::format_size(each.slab_bytes) +
                            ", and a node has at most " + base::format_size(limits_.most_at_once) +
                            " in one piece: raise WEIR_BYTES to " + base::format_size(nodes * each.slab_bytes) +
                            ", or take that size out of " + variable);
  }
}

/// A node that no memory is taken from has the nearest one's.
SlabSource PoolState::source_for(std::size_t node, const SizeClass& size_class) {
  std::vector<BuddyBlocks*> all_blocks;
  for (const unsigned near : os::nearest_first(static_cast<unsigned>(node))) {
    if (near >= node_count() || !limits_.lends[near]) continue;
    all_blocks.push_back(&nodes_[near]->blocks());
    if (options_.placement == Placement::local) break;
  }
  return {std::move(all_blocks), class_limit(size_class)};
}

void PoolState::make_depots() {
  for (std::uint32_t node = 0; node < node_count(); ++node) {
    for (std::uint32_t i = 0; i < classes_.count(); ++i) {
      const SizeClass& each = classes_[i];
      const std::size_t memory = std::min(limits_.start_on_node, class_limit(each));
      depots_.push_back(std::make_unique<Depot>(source_for(node, each), each, lane_index_of(*record_, node, i),
                                                tracker_ ? 0 : magazine_capacity(memory, each.bytes), tracker_.get(),
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
  if (loan.data != nullptr) return loan;
  home.record().empty.fetch_add(1, std::memory_order_relaxed);
  note_exhausted(home);
  return {};
}

void PoolState::note_exhausted(const Depot& depot) noexcept {
  exhausted_.store(&depot, std::memory_order_relaxed);
  needs_helper() ? alarm_.raise(Alarm::exhausted) : tell_exhausted();
}

void PoolState::tell_exhausted() noexcept {
  alerts_.tell(AlertKind::exhausted, [this] {
    const Depot& depot = *exhausted_.load(std::memory_order_relaxed);
    return "no buffer of " + base::format_size(depot.bytes()) + " is free, of " +
           std::to_string(depot.record().capacity.load(std::memory_order_relaxed)) +
           ": raise WEIR_BYTES or WEIR_MAX_BYTES, or see who has them by `weir stat " +
           std::to_string(os::process_id()) + "`";
  });
}

/// From the nearest node that has a buffer. When none has, once more: with what the thread itself keeps of other nodes
/// and classes, and with the slabs that other classes do not use. No depot is asked again for nothing: an exhausted
/// pool answers many threads at once.
LoanParts PoolState::lend_nearby(std::uint32_t home, std::size_t class_index) noexcept {
  bool any = true;
  for (const bool reclaiming : {false, true}) {
    if (reclaiming) any = flush();
    for (const unsigned node : os::nearest_first(home)) {
      if (node >= node_count()) continue;
      if (reclaiming) any = reclaim_node(node) || any || nodes_[node]->blocks().free_bytes() > 0;
      const LoanParts loan = any ? lend_from(depot(node, class_index)) : LoanParts{};
      if (loan.data != nullptr) return loan;
    }
  }
  return {};
}

bool PoolState::reclaim(const Depot& starved) noexcept {
  const bool any = reclaim_for(starved.lane_index() / kLanesPerNode);
  if (!any) note_exhausted(starved);
  return any;
}

/// Of the node, and of all whose lanes may have slabs of it.
bool PoolState::reclaim_for(std::size_t node) noexcept {
  bool any = reclaim_node(node);
  for (std::size_t i = 0; i < node_count() && !depots_are_apart(); ++i) any = reclaim_node(i) || any;
  return any;
}

/// False when lanes of several nodes take slabs from one.
bool PoolState::depots_are_apart() const { return options_.placement == Placement::local && options_.nodes.empty(); }

std::span<const std::unique_ptr<Depot>> PoolState::depots_of(std::size_t node) const {
  return std::span(depots_).subspan(node * classes_.count(), classes_.count());
}

bool PoolState::enqueue_waiter(Depot& starved, Waiter& waiter) noexcept {
  Depot* const depot = &starved;
  return enqueue_waiters({&depot, 1}, {&waiter, 1});
}

bool PoolState::enqueue_waiters(std::span<Depot* const> starved, std::span<Waiter> waiters) noexcept {
  bool any = false;
  for (std::size_t i = 0; i < starved.size(); ++i) any = !starved[i]->enqueue_waiter(waiters[i]) || any;
  if (any) return false;
  const std::uint32_t home = starved.front()->lane_index() / kLanesPerNode;
  (void)flush();
  for (std::size_t node = 0; node < node_count(); ++node) {
    if (node != home && depots_are_apart()) continue;
    for (const auto& depot : depots_of(node)) depot->close_magazines();
    reclaim_node(node);
  }
  for (Depot* depot : starved) depot->feed();
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
  if (LoanTracker* tracker = depot.tracker()) tracker->on_lend(buffer, depot.bytes());
  return {buffer, depot.lane(), depot.bytes()};
}

LoanParts PoolState::adopt(std::byte* buffer) noexcept {
  if (is_fork_child())
    base::fatal("adopt in a child of fork, which has none of its parent's buffers: exec there first");
  if (!map_.contains(buffer))
    base::fatal("adopt(%p): the pool '%s' has no such memory", static_cast<void*>(buffer), options_.name.c_str());
  const std::uint32_t chunk = map_.start_of(buffer);
  const Slab& slab = map_[chunk];
  const Depot* depot = slab.state == Slab::State::cut ? depot_of(slab.lane * kMagazineBytes) : nullptr;
  if (depot == nullptr || !depot->is_buffer(chunk, buffer)) {
    base::fatal("adopt(%p): no buffer of the pool '%s' starts there", static_cast<void*>(buffer),
                options_.name.c_str());
  }
  if (is_held(map_, buffer)) {
    base::fatal(
        "adopt(%p): it is a slice of a buffer, of which the kernel or others have the rest; a slice stays a loan",
        static_cast<void*>(buffer));
  }
  return {buffer, depot->lane(), depot->bytes()};
}

void PoolState::add_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  holders_.push_back(&holder);
}

void PoolState::remove_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  std::erase(holders_, &holder);
}

/// Under the lock with which threads and rings come and go: what they counted is added up in one place or the other.
Counts PoolState::counts() const {
  const std::lock_guard lock(registry_mutex());
  return counts_of_pool(segment(), *record_);
}

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
    if (tracker_) std::fputs(tracker_->describe_oldest(kLoansTold).c_str(), stderr);
    base::fatal("pool '%s' destroyed while buffers of %" PRIu32 " bytes are out: %" PRIu64 " with users, %" PRIu64
                " with the kernel; drop all loans and rings before the pool",
                options_.name.c_str(), depot->bytes(), counts.user, counts.kernel_ring + counts.kernel_request);
  }
}

}  // namespace weir::detail
