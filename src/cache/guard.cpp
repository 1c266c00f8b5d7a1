#include <weir/detail/guard.h>

#ifdef WEIR_CHECKED

#include <weir/detail/magazine.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "base/fatal.h"
#include "cache/depot.h"
#include "stats/segment.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#endif

namespace weir::detail {
namespace {

constexpr std::byte kDropped{0xDB};

struct Lent {
  std::mutex mutex;
  std::unordered_set<const std::byte*> buffers;
};

std::array<Lent, kLanes>& lent() {
  static auto& all = *new std::array<Lent, kLanes>;
  return all;
}

std::uint32_t bytes_of(std::uint32_t lane) { return segment().lanes[lane / kMagazineBytes].bytes; }

/// What a buffer of the lane is filled with while nobody has it: zeros, where that is promised. REQUIRES: it has a
/// depot.
std::byte filling(std::uint32_t lane) {
  const LoanTracker* tracker = depot_of(lane)->tracker();
  return tracker != nullptr && tracker->scrubs() ? std::byte{0} : kDropped;
}

void fill(std::byte* memory, std::size_t bytes, std::uint32_t lane) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  std::memset(memory, std::to_integer<int>(filling(lane)), bytes);
  ASAN_POISON_MEMORY_REGION(memory, bytes);
}

void hand_over(std::byte* buffer, std::uint32_t lane) {
  Lent& all = lent()[lane / kMagazineBytes];
  const std::lock_guard lock(all.mutex);
  if (all.buffers.insert(buffer).second) return;
  base::fatal("a buffer of %u bytes was lent while it is in use: it was dropped twice before", bytes_of(lane));
}

}  // namespace

void guard_lend(std::byte* buffer, std::uint32_t lane) noexcept {
  hand_over(buffer, lane);
  const std::uint32_t bytes = bytes_of(lane);
  ASAN_UNPOISON_MEMORY_REGION(buffer, bytes);
  const std::byte filled = filling(lane);
  if (std::all_of(buffer, buffer + bytes, [&](std::byte each) { return each == filled; })) return;
  base::fatal("a buffer of %u bytes was written after it was dropped: somebody kept a pointer to it", bytes);
}

void guard_claim(std::byte* buffer, std::uint32_t lane) noexcept {
  hand_over(buffer, lane);
  ASAN_UNPOISON_MEMORY_REGION(buffer, bytes_of(lane));
}

void guard_drop(std::byte* buffer, std::uint32_t lane) noexcept {
  if (is_fork_child() || depot_of(lane) == nullptr) return;  // the drop itself has something to say
  {
    Lent& all = lent()[lane / kMagazineBytes];
    const std::lock_guard lock(all.mutex);
    if (all.buffers.erase(buffer) == 0)
      base::fatal("a buffer of %u bytes was dropped twice: two parts of the program held it", bytes_of(lane));
  }
  fill(buffer, bytes_of(lane), lane);
}

void guard_withdraw(std::byte* buffer, std::uint32_t lane) noexcept { fill(buffer, bytes_of(lane), lane); }

void guard_cut(std::byte* memory, std::size_t bytes, std::uint32_t lane) noexcept { fill(memory, bytes, lane); }

void guard_uncut(std::byte* memory, std::size_t bytes) noexcept { ASAN_UNPOISON_MEMORY_REGION(memory, bytes); }

void guard_retire(std::uint32_t lane) noexcept {
  Lent& all = lent()[lane / kMagazineBytes];
  const std::lock_guard lock(all.mutex);
  all.buffers.clear();
}

}  // namespace weir::detail

#endif
