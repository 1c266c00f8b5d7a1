#pragma once

#include <weir/detail/magazine.h>

#include "cache/depot.h"

namespace weir::detail {

/// The calling thread's magazine for the depot's lane, set up at the first call. Nullptr when the thread has no
/// magazines: it is ending, it is the 257th, or there is no memory for them. Its buffers then go to the depot directly.
Magazine* own_magazine(Depot& depot) noexcept;

/// Gives the depots all that the calling thread's magazines have of the pool with these lanes of each node.
/// True when they had any. REQUIRES: the pool does not end meanwhile.
bool flush_own_magazines(std::uint32_t first_lane, std::uint32_t count) noexcept;

/// Index of the node that the calling thread runs on now; its lends use that node's magazines from here on.
std::uint32_t rehome_thread() noexcept;

/// Has a child of fork find no magazines, for it has none of the pools' memory. Throws Error.
/// REQUIRES: a thread calls it before the first that has a magazine.
void prepare_threads();

}  // namespace weir::detail
