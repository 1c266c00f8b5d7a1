#pragma once

#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cache/depot.h"
#include "cache/threads.h"
#include "memory/alarm.h"
#include "memory/arena.h"
#include "memory/node_memory.h"
#include "memory/size_classes.h"
#include "memory/slab_map.h"
#include "slab/memory_limits.h"
#include "stats/alert_limit.h"
#include "stats/segment.h"

namespace weir::detail {

/// Something that keeps buffers of the pool on behalf of the kernel; check_all() asks it which.
class KernelHolder {
 public:
  virtual void visit_held(const std::function<void(std::byte*)>& visit) const = 0;

 protected:
  ~KernelHolder() = default;
};

/// A pool behind its public face: its memory, its depots, and who else holds its buffers.
class PoolState {
 public:
  /// Throws Error with everything given back.
  explicit PoolState(const Options& options);
  /// REQUIRES: as ~Pool().
  ~PoolState();
  PoolState(const PoolState&) = delete;
  PoolState& operator=(const PoolState&) = delete;

  /// A buffer of the class, from the nearest node that has one; empty when none has.
  LoanParts lend(std::size_t class_index) noexcept;
  /// Takes from all classes of the depot's node the slabs that are whole, for this one, which has none. True when there
  /// were any.
  bool reclaim(const Depot& depot) noexcept;
  /// A buffer of a lane of the node with that index, and of no other; empty when the lane is of no class.
  LoanParts lend_on(std::size_t node, std::size_t lane) noexcept;
  /// As Depot::enqueue_waiter(), after asking back what the thread and the other classes of its node keep.
  bool enqueue_waiter(Depot& depot, Waiter& waiter) noexcept;
  /// The same for several depots of a node, each with a waiter. False when one has a free buffer already.
  bool enqueue_waiters(std::span<Depot* const> depots, std::span<Waiter> waiters) noexcept;
  /// A buffer of this depot alone.
  LoanParts lend_from(Depot& depot) noexcept;

  /// Gives the depots all that the calling thread's magazines have. True when they had any.
  bool flush() noexcept { return flush_own_magazines(first_lane_, static_cast<std::uint32_t>(classes_.count())); }

  /// A loan of a buffer that is out; anything else is fatal.
  LoanParts adopt(std::byte* buffer) noexcept;

  /// True when the options ask for a thread that grows and shrinks the pool, which sleeps on the alarm.
  bool needs_helper() const;
  Alarm& alarm() noexcept { return alarm_; }
  /// Maps `bytes` more, spread over the nodes, or nothing. Throws Error.
  void reserve(std::size_t bytes);
  /// Maps grow_bytes more on a node, or what there is room for. Throws Error when there is none, or no memory.
  void grow(std::size_t node);
  /// True when a class found no slab there, or the node's part of the low-water mark is not free.
  bool is_short(std::size_t node) const { return nodes_[node]->blocks().is_short(); }
  /// REQUIRES: note_exhausted() was called.
  void tell_exhausted() noexcept;
  AlertLimit& alerts() noexcept { return alerts_; }
  /// Bytes that no class and no ring has.
  std::size_t free_bytes() const;
  /// Bytes that nobody has, beyond half of the memory that the pool began with: rings take no more than that, for
  /// one connection may drain a ring, and the rest is for all.
  std::size_t spare_bytes() const noexcept;
  /// Gives the system what no buffer needs, but for the first arena of each node. Returns how many bytes.
  std::size_t trim() noexcept;
  /// The same, of arenas that were unused for so long, which calls find out that are not further apart than that.
  void decay(std::chrono::seconds age);
  /// NodeMemory::pin() and unpin() over all nodes.
  std::vector<Arena> pin_arenas(const std::function<bool(const Arena&)>& wanted);
  void unpin_arena(const std::byte* base);
  /// Index of the node with the system's number `node`, for lend_on(). Throws Error when the pool has none of its own.
  std::size_t index_of_node(int node) const;

  /// The depot of the class on the calling thread's node.
  Depot& home_depot(std::size_t class_index) noexcept;

  /// Page-aligned memory for a buffer ring, on the calling thread's node where that has some; nullptr when none has.
  std::byte* take_pages(std::size_t bytes);
  void give_pages(std::byte* where, std::size_t bytes);

  /// Receivers' rings that are in use have equal parts of half of what the pool may map, however many io_urings and
  /// classes they are of.
  void join_rings() noexcept { rings_.fetch_add(1, std::memory_order_relaxed); }
  void leave_rings() noexcept { rings_.fetch_sub(1, std::memory_order_relaxed); }
  /// Bytes that the buffers of one of them may have.
  std::size_t ring_share() const noexcept {
    return limits_.most / 2 / std::max(rings_.load(std::memory_order_relaxed), 1U);
  }

  void add_holder(const KernelHolder& holder);
  void remove_holder(const KernelHolder& holder);
  /// The kernel may still write to some buffer: the pool must outlive its owner, see keep_for_ever().
  void quarantine() noexcept { quarantined_ = true; }
  bool quarantined() const noexcept { return quarantined_; }
  /// Keeps a pool that its owner is done with: its memory stays mapped and its buffers counted, but nobody is lent any.
  static void keep_for_ever(std::unique_ptr<PoolState> pool);

  const Options& options() const { return options_; }
  const SizeClasses& classes() const { return classes_; }
  /// In each node's lanes, the lane of the first class.
  std::uint32_t first_lane() const { return first_lane_; }
  std::size_t node_count() const { return nodes_.size(); }
  std::vector<Arena> arenas() const;
  const MemoryLimits& limits() const { return limits_; }
  SlabMap& map() { return map_; }
  std::uint32_t id() const;
  Counts counts() const;
  std::string check_all() const;

 private:
  Depot& depot(std::size_t node, std::size_t class_index) { return *depots_[node * classes_.count() + class_index]; }
  void refuse_small_class_limits() const;
  void refuse_classes_never_lent() const;
  void make_nodes();
  void make_depots();
  std::size_t class_limit(const SizeClass& size_class) const;
  SlabSource source_for(std::size_t node, const SizeClass& size_class);
  std::size_t room() const;
  std::size_t least_reserved() const;
  std::vector<std::size_t> rooms() const;
  std::string map_shares(const std::vector<std::size_t>& shares);
  std::string map_more(std::size_t node);
  void tell_degraded(const std::string& why) noexcept;
  void wake_waiters();
  NodeMemory& node_of(const std::byte* address);
  void note_exhausted(const Depot& depot) noexcept;
  LoanParts lend_nearby(std::uint32_t node, std::size_t class_index) noexcept;
  bool reclaim_node(std::size_t node) noexcept;
  bool reclaim_for(std::size_t node) noexcept;
  bool depots_are_apart() const;
  std::span<const std::unique_ptr<Depot>> depots_of(std::size_t node) const;
  void retire() noexcept;
  void refuse_loans_out() const;

  const Options options_;
  AlertLimit alerts_{options_};
  const MemoryLimits limits_;
  const SizeClasses classes_;
  std::unique_ptr<Reservation> reservation_;
  SlabMap map_;
  RecordHold<PoolRecord> record_;
  const std::uint32_t first_lane_;  ///< of the record, which a child of fork has not
  const CacheBudget cache_budget_;
  Alarm alarm_;
  std::atomic<const Depot*> exhausted_{nullptr};    ///< the last that was
  std::vector<std::unique_ptr<NodeMemory>> nodes_;  ///< those that nothing is taken from have no arena
  mutable std::mutex memory_mutex_;                 ///< one at a time changes or walks it; before any other lock
  std::unique_ptr<LoanTracker> tracker_;            ///< nullptr: no lend or drop is watched
  std::vector<std::unique_ptr<Depot>> depots_;
  std::mutex holders_mutex_;
  std::vector<const KernelHolder*> holders_;
  std::atomic<std::uint32_t> rings_{0};  ///< of receivers, in use
  bool quarantined_ = false;
};

}  // namespace weir::detail
