#pragma once

#include <weir/detail/export.h>

#include <cstddef>
#include <cstdint>

// What a checked build (WEIR_CHECKED, the whole program) does at each change of hands; nothing in any other. Under
// AddressSanitizer, touching a buffer that is not lent is an error besides.

namespace weir::detail {

#ifdef WEIR_CHECKED
/// From the pool to a user. Fatal when somebody has the buffer, or when it was written since it was dropped.
WEIR_API void guard_lend(std::byte* buffer, std::uint32_t lane) noexcept;
/// From the kernel, filled, to a user. Fatal when somebody has the buffer.
void guard_claim(std::byte* buffer, std::uint32_t lane) noexcept;
/// From a user to the pool or the kernel. Fatal when no user has it.
WEIR_API void guard_drop(std::byte* buffer, std::uint32_t lane) noexcept;
/// From the kernel, which may have written to it, to the pool.
void guard_withdraw(std::byte* buffer, std::uint32_t lane) noexcept;
/// Memory becomes buffers of the lane, none of them lent; and stops being buffers.
void guard_cut(std::byte* memory, std::size_t bytes, std::uint32_t lane) noexcept;
void guard_uncut(std::byte* memory, std::size_t bytes) noexcept;
/// No buffer of the lane is lent any more, whatever the program thinks.
void guard_retire(std::uint32_t lane) noexcept;
#else
inline void guard_lend(std::byte* /*buffer*/, std::uint32_t /*lane*/) noexcept {}
inline void guard_claim(std::byte* /*buffer*/, std::uint32_t /*lane*/) noexcept {}
inline void guard_drop(std::byte* /*buffer*/, std::uint32_t /*lane*/) noexcept {}
inline void guard_withdraw(std::byte* /*buffer*/, std::uint32_t /*lane*/) noexcept {}
inline void guard_cut(std::byte* /*memory*/, std::size_t /*bytes*/, std::uint32_t /*lane*/) noexcept {}
inline void guard_uncut(std::byte* /*memory*/, std::size_t /*bytes*/) noexcept {}
inline void guard_retire(std::uint32_t /*lane*/) noexcept {}
#endif

}  // namespace weir::detail
