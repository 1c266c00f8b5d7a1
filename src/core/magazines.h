#pragma once

#include <weir/loan.h>

#include <span>

#include "core/depot.h"

// Batches between a thread's magazine and its depot.

namespace weir::detail {

/// True when the magazine has a buffer, after moving half its capacity from the depot if it had none.
/// REQUIRES: the magazine is the calling thread's, and of this depot.
bool refill(Magazine& magazine, Depot& depot) noexcept;

/// Gives the oldest buffers back until `keep` are left. REQUIRES: as refill().
void flush(Magazine& magazine, Depot& depot, std::uint32_t keep) noexcept;

/// Fills the first of the empty loans with what the magazine has. Returns how many.
std::size_t pop_many(Magazine& magazine, std::span<Loan> loans) noexcept;

/// Takes the first loans into the calling thread's magazine, as long as they are of one lane and it has room. Returns
/// how many it took.
std::size_t push_many(std::span<Loan> loans) noexcept;

/// Moves up to out.size() buffers out, the calling thread's own (the warmest) first. They count as nobody's until
/// their new holder counts them. Returns how many.
std::size_t take_batch(Depot& depot, std::span<std::byte*> out) noexcept;

}  // namespace weir::detail
