#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

// Where a tracer may look on (USDT probes of the provider `weir`): an instruction that the tracer stops at, and a note
// in the program that says where it is and in which registers its arguments are. docs/tracing.md shows their use.
//
// The instruction is a nop, or on the fast path one that is needed anyway, so that the probe costs none. It must be
// written here with its label: whatever the compiler put after a bare label could be shared with other paths.
//
// Not <sys/sdt.h>, which writes the same note: compilers take its many lines for many instructions, and no longer
// inline what has a probe in it. `asm inline` counts as one.

#ifdef __clang__
#define WEIR_PROBE_OPERAND "nr"  // it would store what is in a register, if memory would do
#else
#define WEIR_PROBE_OPERAND "nor"
#endif

#define WEIR_PROBE(name, arguments, ...) WEIR_PROBE_ON("nop", name, arguments, , __VA_ARGS__)

#define WEIR_PROBE_ON(instruction, name, arguments, output, ...)                                  \
  asm inline volatile("990: " instruction                                                         \
                      "\n"                                                                        \
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
                      : output                                                                    \
                      : __VA_ARGS__)

namespace weir::detail::probe {

/// From the pool to a user.
inline void lend(const std::byte* buffer, std::uint32_t bytes) noexcept {
  WEIR_PROBE("lend", "8@%0 4@%1", WEIR_PROBE_OPERAND(buffer), WEIR_PROBE_OPERAND(bytes));
}

/// From a user to the pool or the kernel.
inline void drop(const std::byte* buffer) noexcept { WEIR_PROBE("drop", "8@%0", WEIR_PROBE_OPERAND(buffer)); }

/// lend() of a buffer from a magazine, whose new state it stores.
inline void lend_and_store(const std::byte* buffer, std::uint32_t bytes, std::atomic<std::uint64_t>& state,
                           std::uint64_t value) noexcept {
#ifdef __x86_64__
  static_assert(sizeof(state) == sizeof(value));  // clang refuses a type that nothing has made complete yet
  WEIR_PROBE_ON("mov {%[value], %[state]|%[state], %[value]}", "lend", "8@%[buffer] 4@%[bytes]", [state] "=m"(state),
                [value] "r"(value), [buffer] WEIR_PROBE_OPERAND(buffer), [bytes] WEIR_PROBE_OPERAND(bytes));
#else
  lend(buffer, bytes);
  state.store(value, std::memory_order_relaxed);
#endif
}

/// drop() of a buffer towards a magazine; whether its count is below its capacity. Both are in registers: a capacity
/// that is compared where it lies would be an instruction less a drop, but take a tenth longer.
inline bool drop_if_below(const std::byte* buffer, std::uint64_t count, std::uint64_t capacity) noexcept {
#ifdef __x86_64__
  bool below;
  WEIR_PROBE_ON(
      "cmp {%[capacity], %[count]|%[count], %[capacity]}", "drop",
      "8@%[buffer]", [below] "=@ccb"(below), [count] "r"(count), [capacity] "r"(capacity), [buffer] "r"(buffer));
  return below;
#else
  drop(buffer);
  return count < capacity;
#endif
}

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

#undef WEIR_PROBE_ON
#undef WEIR_PROBE
#undef WEIR_PROBE_OPERAND
