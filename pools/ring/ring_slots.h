#pragma once

#include <weir/buffer_ring.h>

#include <memory>
#include <span>
#include <vector>

#include "slab/pool_state.h"

namespace weir::detail {

/// Index of the class for receives of `bytes`. Throws Error when no class holds them.
std::size_t receive_class(const PoolState& pool, std::uint32_t bytes);

/// Memory of the pool for a ring's entries, given back at the end.
class RingMemory {
 public:
  RingMemory(PoolState& pool, std::size_t bytes);
  ~RingMemory();
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  io_uring_buf_ring* get() const { return reinterpret_cast<io_uring_buf_ring*>(memory_); }

 private:
  PoolState& pool_;
  std::size_t bytes_;
  std::byte* memory_;
};

/// What stands behind a BufferRing: the slots, and which buffer the kernel holds in each.
class RingSlots final : public KernelHolder {
 public:
  RingSlots(PoolState& pool, io_uring& ring, std::uint16_t group, std::uint32_t entries, std::uint32_t buffer_bytes);
  /// Brings its buffers home. REQUIRES: the kernel has them no more.
  ~RingSlots();
  RingSlots(const RingSlots&) = delete;
  RingSlots& operator=(const RingSlots&) = delete;

  /// Takes the ring back from the kernel. Returns 0 or -errno.
  int unregister() noexcept;
  /// Leaves the buffers with the kernel for ever, and the pool in quarantine.
  void abandon() noexcept { pool_.quarantine(); }

  bool provide(Loan& loan) noexcept;
  std::uint32_t replenish() noexcept;
  Loan claim(const io_uring_cqe& cqe) noexcept;
  /// As PoolState::wait(), for a buffer that the ring can hold.
  bool wait(Waiter& waiter) noexcept { return pool_.wait(depot_, waiter); }
  std::uint32_t stock() const { return entries_ - static_cast<std::uint32_t>(empty_.size()); }
  std::uint32_t entries() const { return entries_; }
  std::uint16_t group() const { return group_; }
  Depot& depot() const { return depot_; }

  void visit_held(const std::function<void(std::byte*)>& visit) const override;

 private:
  /// Puts the buffers into empty slots, unseen by the kernel until advance().
  void fill(std::span<std::byte* const> buffers) noexcept;
  void advance(std::size_t count) noexcept;
  void publish_stock() noexcept;
  std::size_t take(std::span<std::byte*> out) noexcept;

  PoolState& pool_;
  io_uring& ring_;
  const std::uint16_t group_;
  const std::uint32_t entries_;
  Depot& depot_;
  RingMemory memory_;
  RecordHold<RingRecord> record_;
  std::vector<std::byte*> held_;      ///< by bid; nullptr: the slot is empty
  std::vector<std::uint16_t> empty_;  ///< stack of the empty slots' bids
};

/// Ends a ring: its buffers come home. Where the kernel refuses to give it back they are lost, which is said. In a
/// child of fork it does nothing: the ring is the parent's.
void end_ring(std::unique_ptr<RingSlots> slots) noexcept;

struct EndRing {
  void operator()(RingSlots* slots) const noexcept { end_ring(std::unique_ptr<RingSlots>(slots)); }
};

}  // namespace weir::detail
