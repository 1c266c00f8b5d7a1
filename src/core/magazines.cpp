#include "core/magazines.h"

#include <weir/loan.h>

#include <algorithm>
#include <utility>

#include "base/fatal.h"
#include "core/threads.h"

namespace weir::detail {
namespace {

/// Buffers came from the depot onto the top, or (negative) went there or to a ring from anywhere: `moved` is how many.
void note_moved(Magazine& magazine, std::int64_t moved) {
  add_alone(magazine.state, static_cast<std::uint64_t>(moved));
  add_alone(magazine.stocked, static_cast<std::uint64_t>(moved));
}

/// Straight to the depot: no magazine will take it.
void drop_to_depot(std::byte* data, Depot& depot) {
  if (LoanWatch* watch = depot.watch()) watch->on_drop(data, depot.bytes());
  depot.record().drops.fetch_add(1, std::memory_order_relaxed);
  depot.give({&data, 1});
}

/// A magazine of another node's lane only collects: all of it travels home when it is full.
bool is_home(const Magazine& magazine) { return &magazine_at(thread_home_lanes, magazine.lane) == &magazine; }

/// Sends half of a full magazine home, or all of it: when it is of another node, or others wait for its buffers.
void make_room(Magazine& magazine, Depot& depot) {
  const std::uint64_t capacity = magazine.capacity.load(std::memory_order_relaxed);
  if (magazine.count() < capacity) return;
  flush(magazine, depot, is_home(magazine) ? static_cast<std::uint32_t>(capacity / 2) : 0);
}

}  // namespace

bool refill(Magazine& magazine, Depot& depot) noexcept {
  if (magazine.count() > 0) return true;
  const std::uint64_t half = magazine.capacity.load(std::memory_order_relaxed) / 2;
  if (half == 0) return false;
  const auto got = static_cast<std::uint32_t>(depot.take({magazine.buffers, half}));
  if (got == 0) return false;
  depot.record().refills.fetch_add(1, std::memory_order_relaxed);
  note_moved(magazine, got);
  return true;
}

void flush(Magazine& magazine, Depot& depot, std::uint32_t keep) noexcept {
  const std::uint32_t count = magazine.count();
  if (count <= keep) return;
  const std::uint32_t leaving = count - keep;
  depot.give({magazine.buffers, leaving});
  std::copy(magazine.buffers + leaving, magazine.buffers + count, magazine.buffers);
  depot.record().flushes.fetch_add(1, std::memory_order_relaxed);
  note_moved(magazine, -std::int64_t{leaving});
}

std::size_t pop_many(Magazine& magazine, std::span<Loan> loans) noexcept {
  const std::uint32_t count = magazine.count();
  const std::size_t popped = std::min<std::size_t>(count, loans.size());
  std::byte** const first = magazine.buffers + (count - popped);
  for (std::size_t i = 0; i < popped; ++i) {
    __builtin_prefetch(first[i], 1);
    LoanParts{first[i], magazine.lane, magazine.bytes}.lend_into(loans[i]);
  }
  add_alone(magazine.state, popped * (Magazine::kOneLend - 1));
  return popped;
}

std::size_t push_many(std::span<Loan> loans) noexcept {
  const std::uint32_t lane = LoanParts::lane_of(loans.front());
  Magazine& magazine = magazine_at(thread_lanes, lane);
  const std::uint32_t count = magazine.count();
  const std::uint64_t capacity = magazine.capacity.load(std::memory_order_relaxed);
  const std::size_t room = capacity > count ? std::min<std::size_t>(capacity - count, loans.size()) : 0;
  std::size_t pushed = 0;
  while (pushed < room && loans[pushed] && LoanParts::lane_of(loans[pushed]) == lane) {
    std::byte* const buffer = LoanParts::take(std::move(loans[pushed])).data;
    guard_drop(buffer, lane);
    magazine.buffers[count + pushed] = buffer;
    ++pushed;
  }
  if (pushed > 0) add_alone(magazine.state, pushed);
  return pushed;
}

std::size_t take_batch(Depot& depot, std::span<std::byte*> out) noexcept {
  std::uint32_t cached = 0;
  if (Magazine* magazine = own_magazine(depot)) {
    const std::uint32_t count = magazine->count();
    cached = static_cast<std::uint32_t>(std::min<std::size_t>(count, out.size()));
    std::copy(magazine->buffers + count - cached, magazine->buffers + count, out.begin());
    note_moved(*magazine, -std::int64_t{cached});
  }
  return cached < out.size() ? cached + depot.take(out.subspan(cached)) : cached;
}

void drop_slowly(std::byte* data, std::uint32_t lane) noexcept {
  if (is_fork_child()) return;
  Depot* depot = depot_of(lane);
  if (depot == nullptr)
    base::fatal("a loan was dropped after its pool was destroyed: keep the pool until all loans are gone");
  Magazine* magazine = own_magazine(*depot);
  if (magazine != nullptr) make_room(*magazine, *depot);
  if (magazine == nullptr || !magazine->push(data)) drop_to_depot(data, *depot);
}

}  // namespace weir::detail
