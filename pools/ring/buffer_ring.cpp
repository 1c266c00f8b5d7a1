#include <weir/buffer_ring.h>

#include <utility>

#include "ring/ring_slots.h"

namespace weir {

BufferRing::BufferRing(Pool& pool, io_uring& ring, std::uint16_t group, std::uint32_t entries,
                       std::uint32_t buffer_bytes)
    : slots_(std::make_unique<detail::RingSlots>(pool.state(), ring, group, entries, buffer_bytes)) {}

BufferRing::~BufferRing() { detail::end_ring(std::move(slots_)); }

bool BufferRing::provide(Loan& loan) noexcept { return slots_->provide(loan); }

std::uint32_t BufferRing::replenish() noexcept { return slots_->replenish(slots_->entries()); }

Loan BufferRing::claim(const io_uring_cqe& cqe) noexcept { return slots_->claim(cqe); }

std::uint32_t BufferRing::filled() const noexcept { return slots_->filled(); }

std::uint32_t BufferRing::entries() const noexcept { return slots_->entries(); }

std::uint16_t BufferRing::group() const noexcept { return slots_->group(); }

}  // namespace weir
