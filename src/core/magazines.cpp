#include "core/magazines.h"

#include <algorithm>

#include "base/fatal.h"
#include "core/threads.h"

namespace weir::detail {
namespace {

void set_count(Magazine& magazine, std::uint32_t count) {
  const std::uint64_t state = magazine.state.load(std::memory_order_relaxed);
  magazine.state.store((state & ~std::uint64_t{0xffff}) | count, std::memory_order_relaxed);
}

/// Straight to the depot: no magazine will take it.
void drop_to_depot(std::byte* data, Depot& depot) {
  depot.record().drops.fetch_add(1, std::memory_order_relaxed);
  depot.give({&data, 1});
}

/// A magazine of another node's lane only collects: all of it travels home when it is full.
bool is_home(const Magazine& magazine) { return &magazine_at(thread_home_lanes, magazine.lane) == &magazine; }

}  // namespace

bool refill(Magazine& magazine, Depot& depot) noexcept {
  if (magazine.count() > 0) return true;
  const std::uint32_t half = magazine.capacity.load(std::memory_order_relaxed) / 2;
  if (half == 0) return false;
  const auto got = static_cast<std::uint32_t>(depot.take({magazine.buffers, half}));
  if (got == 0) return false;
  depot.record().refills.fetch_add(1, std::memory_order_relaxed);
  set_count(magazine, got);
  return true;
}

void flush(Magazine& magazine, Depot& depot, std::uint32_t keep) noexcept {
  const std::uint32_t count = magazine.count();
  if (count <= keep) return;
  const std::uint32_t leaving = count - keep;
  depot.give({magazine.buffers, leaving});
  std::copy(magazine.buffers + leaving, magazine.buffers + count, magazine.buffers);
  depot.record().flushes.fetch_add(1, std::memory_order_relaxed);
  set_count(magazine, keep);
}

Loan pop(Magazine& magazine) noexcept {
  const std::uint64_t state = magazine.state.load(std::memory_order_relaxed);
  std::byte* buffer = magazine.buffers[Magazine::count_of(state) - 1];
  magazine.state.store(state + Magazine::kOneLend - 1, std::memory_order_relaxed);
  return LoanParts::make(buffer, magazine.lane, magazine.bytes);
}

std::size_t take_batch(Depot& depot, std::span<std::byte*> out) noexcept {
  std::uint32_t cached = 0;
  if (Magazine* magazine = own_magazine(depot)) {
    const std::uint32_t count = magazine->count();
    cached = static_cast<std::uint32_t>(std::min<std::size_t>(count, out.size()));
    std::copy(magazine->buffers + count - cached, magazine->buffers + count, out.begin());
    set_count(*magazine, count - cached);
  }
  return cached < out.size() ? cached + depot.take(out.subspan(cached)) : cached;
}

void drop_slowly(std::byte* data, std::uint32_t lane) noexcept {
  if (is_fork_child()) return;
  Depot* depot = depot_of(lane);
  if (depot == nullptr) base::fatal("a loan was dropped after its pool was destroyed: keep the pool until all loans are gone");
  Magazine* magazine = own_magazine(*depot);
  const std::uint32_t capacity = magazine == nullptr ? 0 : magazine->capacity.load(std::memory_order_relaxed);
  if (magazine != nullptr && magazine->count() >= capacity) {
    flush(*magazine, *depot, is_home(*magazine) ? capacity / 2 : 0);
  }
  if (capacity == 0) return drop_to_depot(data, *depot);
  const std::uint64_t state = magazine->state.load(std::memory_order_relaxed);
  magazine->buffers[Magazine::count_of(state)] = data;
  magazine->state.store(state + 1, std::memory_order_relaxed);
  add_alone(magazine->drops, 1);
}

}  // namespace weir::detail
