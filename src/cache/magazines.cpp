#include "cache/magazines.h"

#include <weir/loan.h>

#include <algorithm>
#include <utility>

#include "base/fatal.h"
#include "cache/slices.h"
#include "cache/threads.h"

namespace weir::detail {
namespace {

/// Straight to the depot: no magazine will take it.
void drop_to_depot(std::byte* data, Depot& depot) {
  if (LoanTracker* tracker = depot.tracker()) tracker->on_drop(data, depot.bytes());
  depot.record().drops.fetch_add(1, std::memory_order_relaxed);
  depot.give({&data, 1});
}

/// A magazine of another node's lane only collects: all of it travels home when it is full.
bool is_home(const Magazine& magazine) {
  return &thread_home_lanes.at(magazine.lane % (kLanesPerNode * kMagazineBytes)) == &magazine;
}

}  // namespace

std::size_t pop_many(Magazine& magazine, std::span<Loan> loans) noexcept {
  const std::uint64_t count = magazine.count();
  const std::size_t popped = std::min<std::size_t>(count, loans.size());
  if (popped == 0) return 0;
  std::byte** const first = magazine.buffers + (count - popped);
  LoanParts::fill(loans.first(popped), first, magazine.lane, magazine.bytes);
  add_alone(magazine.state, popped * (Magazine::kOneLend - 1));
  return popped;
}

std::size_t push_many(std::span<Loan> loans) noexcept {
  const std::uint32_t lane = LoanParts::lane_of(loans.front());
  Magazine& magazine = thread_lanes.at(lane);
  const std::uint64_t count = magazine.count();
  const std::uint64_t capacity = magazine.capacity.load(std::memory_order_relaxed);
  const std::size_t room = capacity > count ? std::min<std::size_t>(capacity - count, loans.size()) : 0;
  const std::size_t pushed = LoanParts::empty(loans.first(room), lane, magazine.buffers + count);
  if (pushed > 0) add_alone(magazine.state, pushed);
  return pushed;
}

std::uint32_t capacity_of(std::uint32_t lane, std::uint32_t size) noexcept {
  return lane == kNoLane || is_fork_child() ? size : segment().lanes[lane / kMagazineBytes].bytes;
}

void drop_slowly(std::byte* data, std::uint32_t lane) noexcept {
  if (is_fork_child()) return;
  if (lane == kNoLane) return drop_slice(data);
  Depot* depot = depot_of(lane);
  if (depot == nullptr)
    base::fatal("a loan was dropped after its pool was destroyed: keep the pool until all loans are gone");
  Magazine* magazine = own_magazine(*depot);
  const bool room = magazine != nullptr && depot->make_room(*magazine, is_home(*magazine));
  if (!room || !magazine->push(data)) drop_to_depot(data, *depot);
}

}  // namespace weir::detail
