#include "memory/buddy_blocks.h"

#include <weir/detail/magazine.h>

#include <algorithm>
#include <bit>

namespace weir::detail {
namespace {

using State = Slab::State;

unsigned order_for(std::size_t bytes) {
  return static_cast<unsigned>(std::countr_zero(std::bit_ceil(base::round_up(bytes, kGranule) / kGranule)));
}

constexpr unsigned kPagesPerGranule = kGranule / base::kSmallPage;

std::uint32_t pages_in(std::size_t bytes) {
  return static_cast<std::uint32_t>(base::round_up(bytes, base::kSmallPage) / base::kSmallPage);
}

}  // namespace

NodeStock::NodeStock(SlabMap& map, std::uint32_t first, std::uint32_t end)
    : map_(map),
      first_(first),
      end_(end),
      free_{SlabList(map), SlabList(map), SlabList(map), SlabList(map), SlabList(map), SlabList(map)},
      page_granules_(map) {
  hungry_.reserve(kLanes);
}

void NodeStock::watch(Alarm& alarm, std::size_t node, std::size_t low_bytes) {
  alarm_ = &alarm;
  node_ = node;
  low_bytes_ = low_bytes;
}

bool NodeStock::is_short() const {
  const std::lock_guard lock(mutex_);
  return is_short_locked();
}

bool NodeStock::is_low_locked() const { return free_granules_ * kGranule < low_bytes_; }

bool NodeStock::is_short_locked() const { return refused_.has_value() || is_low_locked(); }

void NodeStock::add_memory(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::uint32_t granule = map_.granule_of(base);
  const auto end = granule + static_cast<std::uint32_t>(bytes / kGranule);
  while (granule < end) {
    const auto aligned = static_cast<unsigned>(std::countr_zero(granule));
    const auto fits = static_cast<unsigned>(std::bit_width(end - granule)) - 1;
    const unsigned order = std::min({kOrders - 1, aligned, fits});
    give_locked(granule, order);
    granule += 1U << order;
  }
}

bool NodeStock::remove_memory(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!all_free(base, bytes, [](std::uint32_t) {})) return false;
  return all_free(base, bytes, [&](std::uint32_t granule) { pull(granule); });
}

bool NodeStock::untouched(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  bool seen = true;
  const bool free = all_free(base, bytes, [&](std::uint32_t granule) {
    seen = seen && map_[granule].free_count == 1;
    map_[granule].free_count = 1;
  });
  return free && seen;
}

/// Visits the arena's blocks as long as they are free. True when all are.
template <typename Visit>
bool NodeStock::all_free(const std::byte* base, std::size_t bytes, Visit visit) {
  const std::uint32_t first = map_.granule_of(base);
  const auto end = first + static_cast<std::uint32_t>(bytes / kGranule);
  for (std::uint32_t granule = first; granule < end; granule += 1U << map_[granule].order) {
    if (map_[granule].state != State::free_block) return false;
    visit(granule);
  }
  return true;
}

std::uint32_t NodeStock::take(unsigned order) {
  const std::lock_guard lock(mutex_);
  return take_watched(order);
}

std::uint32_t NodeStock::take_watched(unsigned order) {
  const std::uint32_t granule = take_locked(order);
  if (alarm_ == nullptr) return granule;
  if (granule == kNoGranule) refused_ = std::max(refused_.value_or(0), order);
  if (is_short_locked()) alarm_->raise(Alarm::short_on(node_) | (is_low_locked() ? Alarm::low_water : 0U));
  return granule;
}

std::uint32_t NodeStock::take_locked(unsigned order) {
  unsigned found = order;
  while (found < kOrders && free_[found].empty()) ++found;
  if (found == kOrders) return kNoGranule;
  const std::uint32_t granule = free_[found].front();
  pull(granule);
  while (found > order) {
    --found;
    put(granule + (1U << found), found);
  }
  map_[granule].order = static_cast<std::uint8_t>(order);
  return granule;
}

void NodeStock::give(std::uint32_t granule, unsigned order) {
  const std::lock_guard lock(mutex_);
  give_locked(granule, order);
}

/// Joins the block with its free neighbour of the same size, as long as there is one.
void NodeStock::give_locked(std::uint32_t granule, unsigned order) {
  for (; order + 1 < kOrders; ++order) {
    const std::uint32_t buddy = granule ^ (1U << order);
    if (buddy >= map_.granules() || map_[buddy].state != State::free_block || map_[buddy].order != order) break;
    pull(buddy);
    granule = std::min(granule, buddy);
  }
  put(granule, order);
}

void NodeStock::put(std::uint32_t granule, unsigned order) {
  map_[granule].state = State::free_block;
  map_[granule].order = static_cast<std::uint8_t>(order);
  map_[granule].free_count = 0;
  free_[order].push(granule);
  free_granules_ += 1U << order;
  if (refused_ && order >= *refused_) refused_.reset();
}

void NodeStock::pull(std::uint32_t granule) {
  const unsigned order = map_[granule].order;
  free_[order].remove(granule);
  map_[granule].state = State::none;
  free_granules_ -= 1U << order;
}

std::byte* NodeStock::take_pages(std::size_t bytes) {
  if (bytes > kMostSlab) return nullptr;
  const std::lock_guard lock(mutex_);
  if (bytes < kGranule) return take_small(pages_in(bytes));
  const std::uint32_t granule = take_watched(order_for(bytes));
  return granule == kNoGranule ? nullptr : map_.address(granule);
}

/// Pages of a granule that has such a run of free ones, or of a fresh one. Set bits are pages in use.
std::byte* NodeStock::take_small(std::uint32_t pages) {
  const std::uint64_t run = (1ULL << pages) - 1;
  std::uint32_t granule = page_granules_.front();
  unsigned at = 0;
  for (; granule != kNoGranule; granule = map_[granule].next) {
    at = 0;
    while (at + pages <= kPagesPerGranule && (*map_.bits(granule) >> at & run) != 0) ++at;
    if (at + pages <= kPagesPerGranule) break;
  }
  if (granule == kNoGranule) {
    granule = take_watched(0);
    if (granule == kNoGranule) return nullptr;
    at = 0;
    map_[granule].state = State::pages;
    *map_.bits(granule) = 0;  // a slab leaves those of its buffers set
    page_granules_.push(granule);
  }
  *map_.bits(granule) |= run << at;
  return map_.address(granule) + at * base::kSmallPage;
}

void NodeStock::give_pages(std::byte* where, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t granule = map_.granule_of(where);
  if (bytes >= kGranule) return give_locked(granule, order_for(bytes));
  const auto at = static_cast<std::size_t>(where - map_.address(granule)) / base::kSmallPage;
  *map_.bits(granule) &= ~(((1ULL << pages_in(bytes)) - 1) << at);
  if (*map_.bits(granule) != 0) return;
  page_granules_.remove(granule);
  give_locked(granule, 0);
}

void NodeStock::set_hungry(Depot& depot, bool hungry) {
  const std::lock_guard lock(mutex_);
  if (hungry) {
    hungry_.push_back(&depot);
  } else {
    std::erase(hungry_, &depot);
  }
  hungry_count_.store(hungry_.size(), std::memory_order_relaxed);
}

std::size_t NodeStock::hungry(std::span<Depot*> out) const {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(out.size(), hungry_.size());
  std::copy_n(hungry_.begin(), count, out.begin());
  return count;
}

std::size_t NodeStock::refused_bytes() const {
  const std::lock_guard lock(mutex_);
  return refused_ ? kGranule << *refused_ : 0;
}

bool NodeStock::can_spare(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return free_granules_ * kGranule >= low_bytes_ + bytes;
}

std::size_t NodeStock::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_granules_ * kGranule;
}

}  // namespace weir::detail
