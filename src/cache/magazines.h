#pragma once

#include <weir/loan.h>

#include <span>

#include "cache/depot.h"

// Lending and dropping of many at once, and the drop that its magazine did not take.

namespace weir::detail {

/// Fills the first of the empty loans with what the magazine has. Returns how many.
std::size_t pop_many(Magazine& magazine, std::span<Loan> loans) noexcept;

/// Takes the first loans into the calling thread's magazine, as long as they are of one lane and it has room. Returns
/// how many it took.
std::size_t push_many(std::span<Loan> loans) noexcept;

}  // namespace weir::detail
