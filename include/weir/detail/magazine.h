#pragma once

#include <weir/detail/export.h>
#include <weir/detail/probe.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir::detail {

// A lane is one size class of one pool on one node. Each thread has a magazine for every lane, at the lane's byte
// offset in the thread's lane table. A table of zeros is valid: every magazine in it is empty and takes nothing, so
// the first lend and drop of a lane go to the slow path, which sets the magazine up.
inline constexpr std::uint32_t kMaxNodes = 8;
inline constexpr std::uint32_t kLanesPerNode = 256;
inline constexpr std::uint32_t kLanes = kMaxNodes * kLanesPerNode;
inline constexpr std::uint32_t kMagazineBytes = 1024;
inline constexpr std::uint32_t kLaneTableBytes = kLanes * kMagazineBytes;
inline constexpr std::uint32_t kMagazineSlots = 122;

using Count = std::atomic<std::uint64_t>;

/// One thread writes this count: no read-modify-write is needed.
inline void add_alone(Count& count, std::uint64_t amount) noexcept {
  count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

inline void subtract_alone(Count& count, std::uint64_t amount) noexcept {
  count.store(count.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
}

/// A thread's stack of free buffers of one lane. Only its thread writes it, but for `capacity`, which others set to 0
/// while somebody waits for memory, so that drops go to the depot. It lies in the statistics segment: the numbers that
/// the fast path needs are the ones that are shown.
struct Magazine {
  Count state;          ///< lends so far << 8 | buffers here: one store changes both
  Count capacity;       ///< at most kMagazineSlots
  std::uint32_t lane;   ///< its own byte offset in the table, which a loan carries home
  std::uint32_t bytes;  ///< size of a buffer
  Count from_depot;     ///< buffers that came from the depot, less those that went there
  std::uint32_t limit;  ///< the capacity while nobody waits: grows with use
  std::uint32_t seen;   ///< when its thread came by the depot last: of lends, when it was full; of drops, when empty
  Count requested;      ///< buffers that its thread submitted with requests, less those that it got back
  std::byte* buffers[kMagazineSlots];

  static constexpr std::uint64_t kOneLend = 256;
  static std::uint64_t count_of(std::uint64_t state) noexcept { return static_cast<std::uint8_t>(state); }
  static std::uint64_t lends_of(std::uint64_t state) noexcept { return state / kOneLend; }
  std::uint64_t count() const noexcept { return count_of(state.load(std::memory_order_relaxed)); }
  std::uint64_t lends() const noexcept { return lends_of(state.load(std::memory_order_relaxed)); }

  /// Lends the newest buffer; nullptr when there is none.
  std::byte* lend() noexcept {
    const std::uint64_t before = state.load(std::memory_order_relaxed);
    std::byte* const buffer = newest(before);
    if (buffer != nullptr) probe::lend_and_store(buffer, bytes, state, after_lend(before));
    return buffer;
  }

  /// Drops a buffer. False when it is full, or takes nothing: the buffer is then dropped, but elsewhere.
  bool drop(std::byte* buffer) noexcept {
    const std::uint64_t before = state.load(std::memory_order_relaxed);
    if (!probe::drop_if_below(buffer, count_of(before), capacity.load(std::memory_order_relaxed))) [[unlikely]]
      return false;
    put(buffer, before);
    return true;
  }

  /// As lend(), but what lends the buffer has its own probe.
  std::byte* pop() noexcept {
    const std::uint64_t before = state.load(std::memory_order_relaxed);
    std::byte* const buffer = newest(before);
    if (buffer != nullptr) state.store(after_lend(before), std::memory_order_relaxed);
    return buffer;
  }

  /// As drop(), of a buffer that was dropped already.
  bool push(std::byte* buffer) noexcept {
    const std::uint64_t before = state.load(std::memory_order_relaxed);
    if (count_of(before) >= capacity.load(std::memory_order_relaxed)) return false;
    put(buffer, before);
    return true;
  }

 private:
  static std::uint64_t after_lend(std::uint64_t before) noexcept { return before + kOneLend - 1; }

  std::byte* newest(std::uint64_t before) const noexcept {
    const std::uint64_t count = count_of(before);
    if (count == 0) [[unlikely]]
      return nullptr;
    std::byte* const buffer = buffers[count - 1];
    if (buffer == nullptr) __builtin_unreachable();
    return buffer;
  }

  void put(std::byte* buffer, std::uint64_t before) noexcept {
    const std::uint64_t count = count_of(before);
    // A buffer lent and dropped again is still in its slot: without a store, the next lend need not wait for one.
    if (buffers[count] != buffer) [[unlikely]] {
      std::uint64_t place = count;
      asm("" : "+r"(place));  // so that its address is made only here
      buffers[place] = buffer;
    }
    state.store(before + 1, std::memory_order_relaxed);
  }
};
static_assert(sizeof(Magazine) == kMagazineBytes);

#if defined(WEIR_STATIC) && (!defined(__PIC__) || defined(__PIE__))
#define WEIR_TLS_MODEL "local-exec"  // code of the same executable: no register is needed for the address
#else
#define WEIR_TLS_MODEL "initial-exec"  // never a call
#endif

/// Where a thread's magazines are.
struct LaneTable {
  /// Atomic so that the compiler loads it by itself: as an operand of the addition it would cost a fifth of a lend
  /// more.
  std::atomic<std::byte*> base;

  Magazine& at(std::uint64_t lane) const noexcept {
    return *reinterpret_cast<Magazine*>(base.load(std::memory_order_relaxed) + lane);
  }
  /// The lane of a magazine of this table.
  std::uint32_t lane_of(const Magazine& magazine) const noexcept {
    const auto* place = reinterpret_cast<const std::byte*>(&magazine);
    return static_cast<std::uint32_t>(place - base.load(std::memory_order_relaxed));
  }
};

/// The calling thread's lane table, for drops; the same shifted to the thread's home node, for lends. Both are a table
/// of zeros until the thread's first slow lend and after its exit.
WEIR_API extern constinit thread_local LaneTable thread_lanes __attribute__((tls_model(WEIR_TLS_MODEL)));
WEIR_API extern constinit thread_local LaneTable thread_home_lanes __attribute__((tls_model(WEIR_TLS_MODEL)));

#undef WEIR_TLS_MODEL

}  // namespace weir::detail
