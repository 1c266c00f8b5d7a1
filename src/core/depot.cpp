#include "core/depot.h"

#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "base/units.h"
#include "os/event.h"
#include "os/memory.h"

namespace weir::detail {
namespace {

std::array<std::atomic<Depot*>, kLanes> depots{};

constexpr std::size_t kMostWaiters = kMaxReceivers;

}  // namespace

Depot* depot_of(std::uint32_t lane) noexcept { return depots[lane / kMagazineBytes].load(std::memory_order_acquire); }

void set_depot(std::uint32_t lane_index, Depot* depot) noexcept {
  depots[lane_index].store(depot, std::memory_order_release);
}

Depot::Depot(NodeStock& stock, SizeClass size_class, std::uint32_t lane_index, std::size_t most_slabs,
             std::uint32_t magazine_capacity)
    : source_(stock),
      class_(size_class),
      lane_index_(lane_index),
      most_buffers_(most_slabs * size_class.per_slab),
      magazine_capacity_(magazine_capacity),
      record_(segment().lanes[lane_index]) {
  slabs_.reserve(most_slabs);
  magazines_.reserve(kMaxThreads);
  waiters_.reserve(kMostWaiters);
  std::byte* list = os::reserve(base::round_up(most_buffers_ * sizeof(std::byte*), base::kSmallPage), base::kSmallPage);
  if (list == nullptr) throw Error(ENOMEM, "no address space for a pool's lists: lower WEIR_BYTES");
  stock_ = reinterpret_cast<std::byte**>(list);
  record_.bytes = size_class.bytes;
  set_depot(lane_index_, this);
}

Depot::~Depot() {
  os::release(reinterpret_cast<std::byte*>(stock_),
              base::round_up(most_buffers_ * sizeof(std::byte*), base::kSmallPage));
  record_.~LaneRecord();
  new (&record_) LaneRecord{};
}

std::size_t Depot::take(std::span<std::byte*> out) noexcept {
  const std::lock_guard lock(mutex_);
  if (free_ == 0 && !cut_slab()) return 0;
  const std::size_t count = std::min(free_, out.size());
  free_ -= count;
  std::copy_n(stock_ + free_, count, out.begin());
  note_out();
  return count;
}

void Depot::give(std::span<std::byte* const> buffers) noexcept {
  const std::lock_guard lock(mutex_);
  push(buffers);
  note_out();
  if (!waiters_.empty()) wake(buffers.size());
}

void Depot::push(std::span<std::byte* const> buffers) {
  std::copy(buffers.begin(), buffers.end(), stock_ + free_);
  free_ += buffers.size();
}

void Depot::note_out() {
  record_.free.store(free_, std::memory_order_relaxed);
  const std::uint64_t out = capacity_ - free_;
  if (out > record_.high_water.load(std::memory_order_relaxed))
    record_.high_water.store(out, std::memory_order_relaxed);
}

/// Cuts a slab into buffers; its part of the list gets memory first, so that nothing can fail later.
bool Depot::cut_slab() {
  std::byte* slab = source_.take_slab();
  if (slab == nullptr) return false;
  const std::size_t listed = base::round_up(capacity_ * sizeof(std::byte*), base::kSmallPage);
  const std::size_t needed = base::round_up((capacity_ + class_.per_slab) * sizeof(std::byte*), base::kSmallPage);
  std::byte* list = reinterpret_cast<std::byte*>(stock_);
  if (needed > listed && os::map_at(list + listed, needed - listed, os::PageKind::small) != 0) {
    source_.give_slab(slab);
    return false;
  }
  slabs_.push_back(slab);
  for (std::size_t i = class_.per_slab; i > 0; --i) stock_[free_++] = slab + (i - 1) * class_.bytes;
  capacity_ += class_.per_slab;
  record_.capacity.store(capacity_, std::memory_order_relaxed);
  note_out();
  return true;
}

void Depot::adopt(Magazine& magazine) noexcept {
  const std::lock_guard lock(mutex_);
  magazine.lane = lane();
  magazine.bytes = class_.bytes;
  magazine.capacity.store(waiters_.empty() ? magazine_capacity_ : 0, std::memory_order_relaxed);
  magazines_.push_back(&magazine);
}

void Depot::disown(Magazine& magazine) noexcept {
  {
    const std::lock_guard lock(mutex_);
    std::erase(magazines_, &magazine);
    magazine.capacity.store(0, std::memory_order_relaxed);
  }
  give({magazine.buffers, magazine.count()});
  record_.lends.fetch_add(magazine.lends.load(std::memory_order_relaxed), std::memory_order_relaxed);
  record_.drops.fetch_add(magazine.drops(), std::memory_order_relaxed);
  magazine.~Magazine();
  new (&magazine) Magazine{};
}

void Depot::retire() noexcept {
  const std::lock_guard lock(registry_mutex());  // a thread that ends now would take its magazine away
  while (!magazines_.empty()) disown(*magazines_.back());
  set_depot(lane_index_, nullptr);
}

bool Depot::wait(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (waiter.waiting) return true;
  if (free_ > 0 || cut_slab() || waiters_.size() == kMostWaiters) return false;
  waiter.waiting = true;
  waiters_.push_back(&waiter);
  set_magazines(0);
  return true;
}

void Depot::stop_waiting(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (!waiter.waiting) return;
  waiter.waiting = false;
  std::erase(waiters_, &waiter);
  if (waiters_.empty()) set_magazines(magazine_capacity_);
}

void Depot::wake(std::size_t count) {
  count = std::min(count, waiters_.size());
  for (std::size_t i = 0; i < count; ++i) {
    waiters_[i]->waiting = false;
    os::signal_event(waiters_[i]->event);
  }
  waiters_.erase(waiters_.begin(), waiters_.begin() + static_cast<std::ptrdiff_t>(count));
  if (waiters_.empty()) set_magazines(magazine_capacity_);
}

void Depot::set_magazines(std::uint32_t capacity) {
  for (Magazine* magazine : magazines_) magazine->capacity.store(capacity, std::memory_order_relaxed);
}

}  // namespace weir::detail
