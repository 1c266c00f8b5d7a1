#pragma once

#include <liburing.h>
#include <weir/detail/export.h>
#include <weir/loan.h>
#include <weir/pool.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir {

namespace detail {
class RingSlots;
}

/// A provided buffer ring: buffers of a pool that the kernel picks from when data arrives. Its slots are not buffers:
/// claiming empties a slot, and what is claimed is an ordinary loan. Only the io_uring's owner thread may use it.
class WEIR_API BufferRing {
 public:
  /// The least group number: below it, Linux 6.1 mixes up a ring that is registered again under its number.
  static constexpr std::uint16_t kLeastGroup = 64;

  /// Registers an empty ring of `entries` slots for buffers of the class that holds `buffer_bytes`, as group `group`
  /// of the io_uring. Its memory and buffers are of the calling thread's node.
  /// Throws Error: no such class, no memory, the group is taken, or Linux is older than 5.19.
  /// REQUIRES: entries is a power of two up to 32,768, group >= kLeastGroup; pool and ring outlive this.
  BufferRing(Pool& pool, io_uring& ring, std::uint16_t group, std::uint32_t entries, std::uint32_t buffer_bytes);
  /// Unregisters it and withdraws its buffers. In a child of fork it does nothing.
  /// REQUIRES: no request that selects from the group is in flight.
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  /// Gives the kernel your buffer. False, and the loan stays yours, when it is of another class, node or pool, or
  /// every slot is full.
  bool provide(Loan& loan) noexcept;
  /// Fills empty slots from the pool, as far as it has buffers. Returns how many slots have one.
  std::uint32_t replenish() noexcept;
  /// The buffer that the completion carries, with its received bytes in use.
  /// REQUIRES: the completion has IORING_CQE_F_BUFFER and is of this group; each is claimed once.
  Loan claim(const io_uring_cqe& cqe) noexcept;

  std::uint32_t filled() const noexcept;
  std::uint32_t entries() const noexcept;
  std::uint16_t group() const noexcept;

 private:
  std::unique_ptr<detail::RingSlots> slots_;
};

}  // namespace weir
