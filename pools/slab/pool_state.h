#pragma once

#include <weir/pool.h>

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/depot.h"
#include "core/node_memory.h"
#include "core/segment.h"
#include "core/size_classes.h"
#include "core/slab_map.h"

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
  /// As Depot::wait(), after asking back what the thread and the other classes of its node keep.
  bool wait(Depot& depot, Waiter& waiter) noexcept;
  /// A buffer of this depot alone.
  LoanParts lend_from(Depot& depot) noexcept;

  /// A loan of a buffer that is out; anything else is fatal.
  LoanParts adopt(std::byte* buffer) noexcept;

  /// Maps `bytes` more, spread over the nodes. Throws Error.
  void reserve(std::size_t bytes);
  /// Gives the system what no buffer needs, but for the first arena of each node. Returns how many bytes.
  std::size_t trim() noexcept;

  /// The depot of the class on the calling thread's node.
  Depot& home_depot(std::size_t class_index) noexcept;

  /// Page-aligned memory for a buffer ring, on the calling thread's node where that has some; nullptr when none has.
  std::byte* take_pages(std::size_t bytes);
  void give_pages(std::byte* where, std::size_t bytes);

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
  std::vector<Arena> arenas() const;
  std::uint32_t id() const;
  Counts counts() const;
  std::string check_all() const;

 private:
  std::size_t node_count() const { return nodes_.size(); }
  Depot& depot(std::size_t node, std::size_t class_index) { return *depots_[node * classes_.count() + class_index]; }
  void make_nodes();
  void make_depots();
  LoanParts lend_nearby(std::uint32_t node, std::size_t class_index) noexcept;
  bool reclaim_node(std::size_t node) noexcept;
  std::span<const std::unique_ptr<Depot>> depots_of(std::size_t node) const;
  void retire() noexcept;
  void refuse_loans_out() const;

  const Options options_;
  const std::size_t node_bytes_;    ///< at the start
  const std::size_t region_bytes_;  ///< address space of a node
  const SizeClasses classes_;
  std::unique_ptr<Reservation> reservation_;
  SlabMap map_;
  RecordHold<PoolRecord> record_;
  const std::uint32_t first_lane_;  ///< of the record, which a child of fork has not
  const CacheBudget cache_budget_;
  std::vector<std::unique_ptr<NodeMemory>> nodes_;
  std::unique_ptr<LoanWatch> watch_;  ///< nullptr: no lend or drop is watched
  std::vector<std::unique_ptr<Depot>> depots_;
  std::mutex holders_mutex_;
  std::vector<const KernelHolder*> holders_;
  bool quarantined_ = false;
};

}  // namespace weir::detail
