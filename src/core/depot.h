#pragma once

#include <weir/detail/magazine.h>

#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "core/node_stock.h"
#include "core/segment.h"
#include "core/size_classes.h"

namespace weir::detail {

/// Somebody who waits for a buffer of a lane. Owned by the waiting side.
struct Waiter {
  int event = -1;        ///< the eventfd that is signalled, once, when a buffer comes home
  bool waiting = false;  ///< guarded by the depot
};

/// A node's stock of free buffers of one size class, behind the threads' magazines. Thread safe.
class Depot {
 public:
  /// Throws Error when there is no address space for its list of buffers.
  Depot(NodeStock& stock, SizeClass size_class, std::uint32_t lane_index, std::size_t most_slabs,
        std::uint32_t magazine_capacity);
  ~Depot();
  Depot(const Depot&) = delete;
  Depot& operator=(const Depot&) = delete;

  /// Moves up to out.size() buffers out, cutting a new slab when it runs dry. Returns how many.
  std::size_t take(std::span<std::byte*> out) noexcept;
  /// Brings buffers home and wakes as many waiters.
  void give(std::span<std::byte* const> buffers) noexcept;

  /// Sets a thread's magazine up: from now on it may hold buffers of this lane.
  void adopt(Magazine& magazine) noexcept;
  /// Takes the magazine's buffers and counts over, and zeroes it. REQUIRES: its thread does not use it meanwhile.
  void disown(Magazine& magazine) noexcept;
  /// Disowns all magazines; loans of the lane cannot come home after it.
  void retire() noexcept;

  /// Signals the waiter when a buffer comes home, in the order of the calls; until nobody waits, drops bypass the
  /// magazines. False when there is a free buffer already: take it instead.
  bool wait(Waiter& waiter) noexcept;
  void stop_waiting(Waiter& waiter) noexcept;

  LaneRecord& record() const noexcept { return record_; }
  std::uint32_t lane() const noexcept { return lane_index_ * kMagazineBytes; }
  std::uint32_t lane_index() const noexcept { return lane_index_; }
  std::uint32_t bytes() const noexcept { return class_.bytes; }

  /// For check_all(). REQUIRES: nobody uses the depot meanwhile.
  std::span<std::byte* const> stock() const { return {stock_, free_}; }
  std::span<Magazine* const> magazines() const { return magazines_; }
  std::span<std::byte* const> slabs() const { return slabs_; }
  std::uint32_t per_slab() const { return class_.per_slab; }

 private:
  bool cut_slab();
  void push(std::span<std::byte* const> buffers);
  void wake(std::size_t count);
  void set_magazines(std::uint32_t capacity);
  void note_out();

  NodeStock& source_;
  const SizeClass class_;
  const std::uint32_t lane_index_;
  const std::size_t most_buffers_;
  const std::uint32_t magazine_capacity_;
  LaneRecord& record_;

  std::mutex mutex_;
  std::byte** stock_ = nullptr;  ///< stack of free buffers; room for all there can ever be is reserved
  std::size_t free_ = 0;
  std::size_t capacity_ = 0;
  std::vector<std::byte*> slabs_;
  std::vector<Magazine*> magazines_;
  std::vector<Waiter*> waiters_;
};

/// The depot of a lane (by byte offset), or nullptr when no pool has that lane.
Depot* depot_of(std::uint32_t lane) noexcept;
void set_depot(std::uint32_t lane_index, Depot* depot) noexcept;

}  // namespace weir::detail
