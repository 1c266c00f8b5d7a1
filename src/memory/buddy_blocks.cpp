#include "memory/buddy_blocks.h"

#include <weir/detail/magazine.h>

#include <algorithm>
#include <bit>

namespace weir::detail {
namespace {

using State = Slab::State;

unsigned order_for(std::size_t bytes) {
  return static_cast<unsigned>(std::countr_zero(std::bit_ceil(base::round_up(bytes, kChunkBytes) / kChunkBytes)));
}

constexpr unsigned kPagesPerChunk = kChunkBytes / base::kSmallPage;

std::uint32_t pages_in(std::size_t bytes) {
  return static_cast<std::uint32_t>(base::round_up(bytes, base::kSmallPage) / base::kSmallPage);
}

}  // namespace

BuddyBlocks::BuddyBlocks(SlabMap& map, std::uint32_t first, std::uint32_t end)
    : map_(map),
      first_(first),
      end_(end),
      free_{SlabList(map), SlabList(map), SlabList(map), SlabList(map), SlabList(map), SlabList(map)},
      page_chunks_(map) {
  with_waiters_.reserve(kLanes);
}

void BuddyBlocks::set_alarm(Alarm& alarm, std::size_t node, std::size_t low_bytes) {
  alarm_ = &alarm;
  node_ = node;
  low_bytes_ = low_bytes;
}

bool BuddyBlocks::is_short() const {
  const std::lock_guard lock(mutex_);
  return is_short_locked();
}

bool BuddyBlocks::is_low_locked() const { return free_chunks_ * kChunkBytes < low_bytes_; }

bool BuddyBlocks::is_short_locked() const { return refused_.has_value() || is_low_locked(); }

void BuddyBlocks::add_memory(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::uint32_t chunk = map_.chunk_of(base);
  const auto end = chunk + static_cast<std::uint32_t>(bytes / kChunkBytes);
  while (chunk < end) {
    const auto aligned = static_cast<unsigned>(std::countr_zero(chunk));
    const auto fits = static_cast<unsigned>(std::bit_width(end - chunk)) - 1;
    const unsigned order = std::min({kOrders - 1, aligned, fits});
    give_locked(chunk, order);
    chunk += 1U << order;
  }
}

bool BuddyBlocks::remove_memory(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!all_free(base, bytes, [](std::uint32_t) {})) return false;
  return all_free(base, bytes, [&](std::uint32_t chunk) { pull(chunk); });
}

bool BuddyBlocks::untouched(const std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  bool seen = true;
  const bool free = all_free(base, bytes, [&](std::uint32_t chunk) {
    seen = seen && map_[chunk].free_count == 1;
    map_[chunk].free_count = 1;
  });
  return free && seen;
}

/// Visits the arena's blocks as long as they are free. True when all are.
template <typename Visit>
bool BuddyBlocks::all_free(const std::byte* base, std::size_t bytes, Visit visit) {
  const std::uint32_t first = map_.chunk_of(base);
  const auto end = first + static_cast<std::uint32_t>(bytes / kChunkBytes);
  for (std::uint32_t chunk = first; chunk < end; chunk += 1U << map_[chunk].order) {
    if (map_[chunk].state != State::free_block) return false;
    visit(chunk);
  }
  return true;
}

std::uint32_t BuddyBlocks::take(unsigned order) {
  const std::lock_guard lock(mutex_);
  return take_or_alarm(order);
}

std::uint32_t BuddyBlocks::take_or_alarm(unsigned order) {
  const std::uint32_t chunk = take_locked(order);
  if (alarm_ == nullptr) return chunk;
  if (chunk == kNoChunk) refused_ = std::max(refused_.value_or(0), order);
  if (is_short_locked()) alarm_->raise(Alarm::short_on(node_) | (is_low_locked() ? Alarm::low_water : 0U));
  return chunk;
}

std::uint32_t BuddyBlocks::take_locked(unsigned order) {
  unsigned found = order;
  while (found < kOrders && free_[found].empty()) ++found;
  if (found == kOrders) return kNoChunk;
  const std::uint32_t chunk = free_[found].front();
  pull(chunk);
  while (found > order) {
    --found;
    put(chunk + (1U << found), found);
  }
  map_[chunk].order = static_cast<std::uint8_t>(order);
  return chunk;
}

void BuddyBlocks::give(std::uint32_t chunk, unsigned order) {
  const std::lock_guard lock(mutex_);
  give_locked(chunk, order);
}

/// Joins the block with its free neighbour of the same size, as long as there is one.
void BuddyBlocks::give_locked(std::uint32_t chunk, unsigned order) {
  for (; order + 1 < kOrders; ++order) {
    const std::uint32_t buddy = chunk ^ (1U << order);
    if (buddy >= map_.chunks() || map_[buddy].state != State::free_block || map_[buddy].order != order) break;
    pull(buddy);
    chunk = std::min(chunk, buddy);
  }
  put(chunk, order);
}

void BuddyBlocks::put(std::uint32_t chunk, unsigned order) {
  map_[chunk].state = State::free_block;
  map_[chunk].order = static_cast<std::uint8_t>(order);
  map_[chunk].free_count = 0;
  free_[order].push(chunk);
  free_chunks_ += 1U << order;
  if (refused_ && order >= *refused_) refused_.reset();
}

void BuddyBlocks::pull(std::uint32_t chunk) {
  const unsigned order = map_[chunk].order;
  free_[order].remove(chunk);
  map_[chunk].state = State::none;
  free_chunks_ -= 1U << order;
}

std::byte* BuddyBlocks::take_pages(std::size_t bytes) {
  if (bytes > kMostSlab) return nullptr;
  const std::lock_guard lock(mutex_);
  if (bytes < kChunkBytes) return take_small(pages_in(bytes));
  const std::uint32_t chunk = take_or_alarm(order_for(bytes));
  return chunk == kNoChunk ? nullptr : map_.address(chunk);
}

/// Pages of a chunk that has such a run of free ones, or of a fresh one. Set bits are pages in use.
std::byte* BuddyBlocks::take_small(std::uint32_t pages) {
  const std::uint64_t run = (1ULL << pages) - 1;
  std::uint32_t chunk = page_chunks_.front();
  unsigned at = 0;
  for (; chunk != kNoChunk; chunk = map_[chunk].next) {
    at = 0;
    while (at + pages <= kPagesPerChunk && (*map_.bits(chunk) >> at & run) != 0) ++at;
    if (at + pages <= kPagesPerChunk) break;
  }
  if (chunk == kNoChunk) {
    chunk = take_or_alarm(0);
    if (chunk == kNoChunk) return nullptr;
    at = 0;
    map_[chunk].state = State::pages;
    *map_.bits(chunk) = 0;  // a slab leaves those of its buffers set
    page_chunks_.push(chunk);
  }
  *map_.bits(chunk) |= run << at;
  return map_.address(chunk) + at * base::kSmallPage;
}

void BuddyBlocks::give_pages(std::byte* where, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t chunk = map_.chunk_of(where);
  if (bytes >= kChunkBytes) return give_locked(chunk, order_for(bytes));
  const auto at = static_cast<std::size_t>(where - map_.address(chunk)) / base::kSmallPage;
  *map_.bits(chunk) &= ~(((1ULL << pages_in(bytes)) - 1) << at);
  if (*map_.bits(chunk) != 0) return;
  page_chunks_.remove(chunk);
  give_locked(chunk, 0);
}

void BuddyBlocks::set_has_waiters(Depot& depot, bool has_waiters) {
  const std::lock_guard lock(mutex_);
  if (has_waiters) {
    with_waiters_.push_back(&depot);
  } else {
    std::erase(with_waiters_, &depot);
  }
  with_waiters_count_.store(with_waiters_.size(), std::memory_order_relaxed);
}

std::size_t BuddyBlocks::with_waiters(std::span<Depot*> out) const {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(out.size(), with_waiters_.size());
  std::copy_n(with_waiters_.begin(), count, out.begin());
  return count;
}

std::size_t BuddyBlocks::refused_bytes() const {
  const std::lock_guard lock(mutex_);
  return refused_ ? kChunkBytes << *refused_ : 0;
}

bool BuddyBlocks::can_spare(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return free_chunks_ * kChunkBytes >= low_bytes_ + bytes;
}

std::size_t BuddyBlocks::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_chunks_ * kChunkBytes;
}

}  // namespace weir::detail
