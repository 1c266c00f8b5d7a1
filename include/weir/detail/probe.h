#pragma once

#include <cstddef>
#include <cstdint>

// Where a tracer may look on (USDT probes of the provider `weir`): a nop each until it does, and a note in the program
// that says where it is and in which registers its arguments are. docs/tracing.md shows their use.
//
// Not <sys/sdt.h>, which writes the same note: compilers take its many lines for many instructions, and no longer
// inline what has a probe in it. `asm inline` counts as one.

#ifdef __clang__
#define WEIR_PROBE_OPERAND "nr"  // it would store what is in a register, if memory would do
#else
#define WEIR_PROBE_OPERAND "nor"
#endif

#define WEIR_PROBE(name, arguments, ...)                                          \
  asm inline volatile(                                                            \
      "990: nop\n"                                                                \
      ".pushsection .note.stapsdt, \"?\", \"note\"\n"                             \
      ".balign 4\n"                                                               \
      ".4byte 992f - 991f, 994f - 993f, 3\n"                                      \
      "991: .asciz \"stapsdt\"\n"                                                 \
      "992: .balign 4\n"                                                          \
      "993: .8byte 990b, _.stapsdt.base, 0\n"                                     \
      ".asciz \"weir\"\n"                                                         \
      ".asciz \"" name                                                            \
      "\"\n"                                                                      \
      ".asciz \"" arguments                                                       \
      "\"\n"                                                                      \
      "994: .balign 4\n"                                                          \
      ".popsection\n"                                                             \
      ".ifndef _.stapsdt.base\n"                                                  \
      ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n" \
      ".weak _.stapsdt.base\n"                                                    \
      ".hidden _.stapsdt.base\n"                                                  \
      "_.stapsdt.base: .space 1\n"                                                \
      ".size _.stapsdt.base, 1\n"                                                 \
      ".popsection\n"                                                             \
      ".endif\n"                                                                  \
      :                                                                           \
      : __VA_ARGS__)

namespace weir::detail::probe {

/// From the pool to a user.
inline void lend(const std::byte* buffer, std::uint32_t bytes) noexcept {
  WEIR_PROBE("lend", "8@%0 4@%1", WEIR_PROBE_OPERAND(buffer), WEIR_PROBE_OPERAND(bytes));
}

/// From a user to the pool or the kernel.
inline void drop(const std::byte* buffer) noexcept { WEIR_PROBE("drop", "8@%0", WEIR_PROBE_OPERAND(buffer)); }

/// To the kernel, in a slot of a buffer ring.
inline void provide(const std::byte* buffer, std::uint32_t group, std::uint32_t bid) noexcept {
  WEIR_PROBE("provide", "8@%0 4@%1 4@%2", WEIR_PROBE_OPERAND(buffer), WEIR_PROBE_OPERAND(group),
             WEIR_PROBE_OPERAND(bid));
}

/// From the kernel, filled, to a user.
inline void claim(const std::byte* buffer, std::uint32_t bytes) noexcept {
  WEIR_PROBE("claim", "8@%0 4@%1", WEIR_PROBE_OPERAND(buffer), WEIR_PROBE_OPERAND(bytes));
}

/// A connection with data found no buffer.
inline void park(const char* pool, int fd) noexcept {
  WEIR_PROBE("park", "8@%0 -4@%1", WEIR_PROBE_OPERAND(pool), WEIR_PROBE_OPERAND(fd));
}

/// The request of a connection that is idle is cancelled, so that its buffer comes home.
inline void reclaim(const char* pool, int fd) noexcept {
  WEIR_PROBE("reclaim", "8@%0 -4@%1", WEIR_PROBE_OPERAND(pool), WEIR_PROBE_OPERAND(fd));
}

}  // namespace weir::detail::probe

#undef WEIR_PROBE
#undef WEIR_PROBE_OPERAND
