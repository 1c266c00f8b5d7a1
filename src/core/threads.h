#pragma once

#include <weir/detail/magazine.h>

#include "core/depot.h"

namespace weir::detail {

/// The calling thread's magazine for the depot's lane, set up at the first call. Nullptr when the thread has no
/// magazines: it is ending, it is the 257th, or there is no memory for them. Its buffers then go to the depot directly.
Magazine* own_magazine(Depot& depot) noexcept;

/// Gives the depots all that the calling thread's magazines have, of every pool, class and node.
void flush_own_magazines() noexcept;

/// Counts so much more as kept in the calling thread's magazines. False when that is beyond the budget.
bool widen_own_cache(const CacheBudget& budget, std::size_t bytes) noexcept;
void narrow_own_cache(const CacheBudget& budget, std::size_t bytes) noexcept;

/// Index of the node that the calling thread runs on now; its lends use that node's magazines from here on.
std::uint32_t rehome_thread() noexcept;

/// Keeps what threads without magazines read from taking memory.
void empty_no_magazines() noexcept;

/// Puts the calling thread's magazines out of reach: its lends and drops take the slow path.
void detach_thread() noexcept;

}  // namespace weir::detail
