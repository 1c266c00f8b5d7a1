#pragma once

#include "stats/segment.h"

// The segment's list of who has which buffer, for all pools that trace.

namespace weir::detail {

/// Gives memory to the list, at the first call. Throws Error.
void make_borrows();

/// A free record; nullptr when all are taken. REQUIRES: make_borrows(). Thread safe, as the next.
BorrowRecord* take_borrow() noexcept;
void free_borrow(BorrowRecord& record) noexcept;

/// Writes all of a record, with the caller's caller and those above it as its stack. Whoever reads the segment
/// meanwhile finds it free.
void note_borrow(BorrowRecord& record, std::uint32_t pool, const std::byte* buffer, std::uint32_t bytes) noexcept;

}  // namespace weir::detail
