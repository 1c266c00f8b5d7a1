#include "cache/slices.h"

#include <array>
#include <atomic>

#include "base/fatal.h"
#include "base/tsan.h"
#include "cache/depot.h"
#include "stats/segment.h"

namespace weir::detail {
namespace {

constinit std::array<std::atomic<SlabMap*>, kMaxPools> maps{};

[[noreturn]] void refuse_orphan() {
  base::fatal("a loan was dropped after its pool was destroyed: keep the pool until all loans are gone");
}

SlabMap& map_of(const std::byte* place) noexcept {
  for (const auto& each : maps) {
    SlabMap* const map = each.load(std::memory_order_acquire);
    if (map != nullptr && map->contains(place)) return *map;
  }
  refuse_orphan();
}

std::atomic<std::uint32_t>& holds(SlabMap& map, const std::byte* buffer) noexcept {
  return map[map.chunk_of(buffer)].slices;
}

}  // namespace

void publish_slices(std::uint32_t pool, SlabMap* map) noexcept { maps.at(pool).store(map, std::memory_order_release); }

void hold_slices(SlabMap& map, const std::byte* buffer) noexcept { holds(map, buffer) = 1; }

Loan make_slice(SlabMap& map, const std::byte* buffer, std::byte* place, std::uint32_t bytes) noexcept {
  holds(map, buffer).fetch_add(1, std::memory_order_relaxed);
  return LoanParts{place, kNoLane, bytes}.join();
}

bool is_held(SlabMap& map, const std::byte* buffer) noexcept {
  return holds(map, buffer).load(std::memory_order_relaxed) > 0;
}

void drop_slice(std::byte* place) noexcept {
  SlabMap& map = map_of(place);
  const std::uint32_t slab = map.start_of(place);
  const Depot* const depot = depot_of(map[slab].lane * kMagazineBytes);
  if (depot == nullptr) refuse_orphan();
  std::byte* const buffer = depot->buffer_of(slab, place);
  std::atomic<std::uint32_t>& count = holds(map, buffer);
  base::note_released(&count);
  const std::uint32_t before = count.fetch_sub(1, std::memory_order_acq_rel);
  base::note_acquired(&count);
  if (before == 0) base::fatal("a slice of a buffer was dropped twice: two parts of the program held it");
  if (before == 1) const Loan whole = LoanParts{buffer, depot->lane(), depot->bytes()}.join();
}

}  // namespace weir::detail
