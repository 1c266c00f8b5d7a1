#pragma once

#include <weir/pool.h>

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/depot.h"
#include "core/node_stock.h"
#include "core/segment.h"
#include "core/size_classes.h"

namespace weir::detail {

/// Something that keeps buffers of the pool on behalf of the kernel; check_all() asks it which.
class KernelHolder {
 public:
  virtual void visit_held(const std::function<void(std::byte*)>& visit) const = 0;

 protected:
  ~KernelHolder() = default;
};

/// A record of the segment, live as long as this is.
template <typename Record>
class RecordHold {
 public:
  explicit RecordHold(Record* record) : record_(record) {}
  RecordHold(RecordHold&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  RecordHold& operator=(RecordHold&&) = delete;
  ~RecordHold() {
    if (record_ != nullptr) free_record(*record_);
  }
  Record* operator->() const { return record_; }
  Record& operator*() const { return *record_; }

 private:
  Record* record_;
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
  /// A buffer of this depot alone.
  LoanParts lend_from(Depot& depot) noexcept;

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
  std::span<const Arena> arenas() const { return arenas_; }
  std::uint32_t id() const;
  Counts counts() const;
  std::string check_all() const;

 private:
  std::size_t node_count() const { return stocks_.size(); }
  Depot& depot(std::size_t node, std::size_t class_index) { return *depots_[node * classes_.count() + class_index]; }
  void map_nodes();
  void make_depots();
  void publish(const Arena& arena);
  void retire() noexcept;
  void refuse_loans_out() const;

  const Options options_;
  const SizeClasses classes_;
  const std::size_t node_bytes_;
  std::unique_ptr<Reservation> reservation_;
  RecordHold<PoolRecord> record_;
  const std::uint32_t first_lane_;  ///< of the record, which a child of fork has not
  std::vector<RecordHold<ArenaRecord>> arena_records_;
  std::vector<Arena> arenas_;
  std::vector<std::unique_ptr<NodeStock>> stocks_;
  std::vector<std::unique_ptr<Depot>> depots_;
  std::mutex holders_mutex_;
  std::vector<const KernelHolder*> holders_;
  bool quarantined_ = false;
};

}  // namespace weir::detail
