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

/// How a receive uses a buffer of a ring: up, or piece by piece, as far as there is room (IOU_PBUF_RING_INC).
enum class Fill : std::uint8_t { whole, slices };

/// What stands behind a BufferRing: the slots, and which buffer the kernel holds in each.
class RingSlots final : public KernelHolder {
 public:
  /// Throws Error. REQUIRES: of slices, the buffers have kLeastSlicedBuffer bytes or more.
  RingSlots(PoolState& pool, io_uring& ring, std::uint16_t group, std::uint32_t entries, std::uint32_t buffer_bytes,
            Fill fill = Fill::whole);
  /// Brings its buffers home. REQUIRES: the kernel has them no more.
  ~RingSlots();
  RingSlots(const RingSlots&) = delete;
  RingSlots& operator=(const RingSlots&) = delete;

  /// Takes the ring back from the kernel. Returns 0 or -errno.
  int unregister() noexcept;
  /// Brings its buffers home and leaves the ring empty. Where the kernel refuses, it is tried again when the ring is to
  /// be filled. REQUIRES: no request that may use one of them is with the kernel, nor a completion of one unseen.
  void withdraw() noexcept;
  /// Leaves the buffers with the kernel for ever, and the pool in quarantine.
  void abandon() noexcept { pool_.quarantine(); }

  bool provide(Loan& loan) noexcept;
  /// Fills slots until so many have a buffer, or the pool has none. Returns how many have one.
  std::uint32_t replenish(std::uint32_t wanted) noexcept;
  /// What the completion carries in its first buffer: of a bundle that is not all.
  Loan claim(const io_uring_cqe& cqe) noexcept;
  /// What a bundle carries in the buffer after the one with this id, which becomes that one's: up to `bytes`.
  Loan claim_next(std::uint16_t& bid, std::uint32_t bytes) noexcept;
  std::uint32_t filled() const { return entries_ - static_cast<std::uint32_t>(empty_.size()); }
  std::uint32_t entries() const { return entries_; }
  std::uint16_t group() const { return group_; }
  std::uint32_t buffer_bytes() const { return depot_.bytes(); }

  void visit_held(const std::function<void(std::byte*)>& visit) const override;

 private:
  /// Says in its record of which lane and group it is.
  void describe();
  /// Registers it, empty, unless it is. Returns 0 or -errno.
  int enroll() noexcept;
  void bring_home() noexcept;
  /// Puts the buffers into empty slots, unseen by the kernel until advance().
  void fill(std::span<std::byte* const> buffers) noexcept;
  void check_held(std::uint16_t bid) const noexcept;
  Loan claim_whole(std::uint16_t bid, std::uint32_t bytes) noexcept;
  Loan claim_slice(std::uint16_t bid, std::uint32_t bytes, bool more) noexcept;
  /// Makes the slot empty: its buffer is a user's from now on.
  std::byte* vacate(std::uint16_t bid) noexcept;
  void advance(std::size_t count) noexcept;
  void publish_filled() noexcept;
  std::size_t take(std::span<std::byte*> out) noexcept;

  PoolState& pool_;
  io_uring& ring_;
  const std::uint16_t group_;
  const std::uint32_t entries_;
  Depot& depot_;
  RingMemory memory_;
  RecordHold<RingRecord> record_;
  const Fill fill_;
  const std::span<std::byte*> held_;     ///< by bid, in the segment; nullptr: the slot is empty
  std::vector<std::uint16_t> empty_;     ///< stack of the empty slots' bids
  std::vector<std::uint16_t> place_of_;  ///< by bid: where in the ring the kernel finds it
  std::vector<std::uint16_t> bid_at_;    ///< by place
  std::vector<std::uint32_t> sliced_;    ///< by bid: bytes that slices have been made of
  std::uint16_t tail_ = 0;               ///< the place after the newest
  bool registered_ = false;
};

/// Ends a ring: its buffers come home. Where the kernel refuses to give it back they are lost, which is said. In a
/// child of fork it does nothing: the ring is the parent's.
void end_ring(std::unique_ptr<RingSlots> slots) noexcept;

struct EndRing {
  void operator()(RingSlots* slots) const noexcept { end_ring(std::unique_ptr<RingSlots>(slots)); }
};

}  // namespace weir::detail
