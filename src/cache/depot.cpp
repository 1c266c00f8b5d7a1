#include "cache/depot.h"

#include <weir/detail/guard.h>
#include <weir/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "base/fatal.h"
#include "base/units.h"
#include "os/event.h"
#include "os/segment_file.h"

namespace weir::detail {
namespace {

std::array<std::atomic<Depot*>, kLanes> depots{};

constexpr std::size_t kMostWaiters = kMaxReceivers;
constexpr std::size_t kRecentBytes = 16 * base::kMiB;
constexpr std::size_t kLeastRecent = 64;
constexpr std::uint32_t kFirstLimit = 2;   // of a magazine: enough for one buffer that comes and goes
constexpr std::size_t kStarvedShare = 16;  // it is starved until more than a sixteenth is free again

// An offset below 2^21 times 2^48 / stride, rounded up, gives the index exactly: the error stays below one.
constexpr unsigned kInverseShift = 48;
constexpr std::uint64_t kInverseOne = 1ULL << kInverseShift;

/// At most kMaxRecent: a consumer that runs ahead brings so many at once.
std::size_t recent_slots(std::uint32_t bytes) {
  return std::clamp<std::size_t>(kRecentBytes / bytes, kLeastRecent, kMaxRecent);
}

std::byte** recent_stack(std::uint32_t lane_index, std::uint32_t bytes) {
  std::byte** const stack = segment().recent[lane_index].data();
  const int error = os::populate_segment(stack, recent_slots(bytes) * sizeof *stack);
  if (error != 0) {
    throw Error(-error, "no memory for what a pool notes of buffers of " + base::format_size(bytes) + ": " +
                            std::strerror(-error) + "; free memory, or raise the control group's limit");
  }
  return stack;
}

/// Buffers came from the depot on top, or (negative) went there or to a ring.
void note_from_depot(Magazine& magazine, std::uint64_t count) {
  add_alone(magazine.state, count);
  add_alone(magazine.from_depot, count);
}

/// True when the count is what it was when the thread came by before, for the same reason: it only lends, or only
/// drops, and takes or brings as much as it can. One that does both stays halfway, far from the next time.
bool stands_still(Magazine& magazine, std::uint64_t count) {
  const auto now = static_cast<std::uint32_t>(count);
  return std::exchange(magazine.seen, now) == now;
}

}  // namespace

Depot* depot_of(std::uint32_t lane) noexcept { return depots[lane / kMagazineBytes].load(std::memory_order_acquire); }

void set_depot(std::uint32_t lane_index, Depot* depot) noexcept {
  depots[lane_index].store(depot, std::memory_order_release);
}

Depot::Depot(SlabSource source, const SizeClass& size_class, std::uint32_t lane_index, std::uint32_t magazine_capacity,
             LoanTracker* tracker, const CacheBudget* budget)
    : source_(std::move(source)),
      map_(source_.map()),
      class_(size_class),
      order_(static_cast<unsigned>(std::countr_zero(size_class.slab_bytes / kChunkBytes))),
      inverse_stride_(kInverseOne / size_class.stride + 1),
      lane_index_(lane_index),
      magazine_capacity_(magazine_capacity),
      tracker_(tracker),
      budget_(budget),
      record_(segment().lanes[lane_index]),
      recent_(recent_stack(lane_index, size_class.bytes)),
      by_fullness_{SlabList(map_), SlabList(map_), SlabList(map_), SlabList(map_), SlabList(map_)},
      most_recent_(recent_slots(size_class.bytes)) {
  magazines_.reserve(kMaxThreads);
  waiters_.reserve(kMostWaiters);
  record_.bytes = size_class.bytes;
  record_.alignment = alignment_of(size_class);
  record_.stride = size_class.stride;
  record_.slab_bytes = size_class.slab_bytes;
  set_depot(lane_index_, this);
}

Depot::~Depot() { record_.end(); }

std::size_t Depot::take(std::span<std::byte*> out) noexcept {
  const std::lock_guard lock(mutex_);
  return take_locked(out);
}

std::size_t Depot::take_locked(std::span<std::byte*> out) {
  std::size_t count = take_recent(out);
  while (count < out.size()) {
    const std::uint32_t chunk = fullest_slab();
    if (chunk != kNoChunk) {
      count += take_from_slab(chunk, out.subspan(count));
    } else if (count > 0 || !cut_slab()) {
      break;
    }
  }
  if (count == 0) note_starved();
  free_ -= count;
  if (promised_ > 0) promised_ -= std::min(promised_, count);  // else its line stays with the other threads
  note_counts();
  wake_for_free();  // the slab that was cut may have come back for them
  return count;
}

/// Drops come by here until there is something again.
void Depot::note_starved() {
  if (!std::exchange(starved_, true)) close_locked();
}

void Depot::close_locked() {
  for (Magazine* magazine : magazines_) magazine->capacity.store(0, std::memory_order_relaxed);
}

void Depot::give(std::span<std::byte* const> buffers) noexcept {
  {
    const std::lock_guard lock(mutex_);
    give_locked(buffers);
  }
  feed_others();
}

void Depot::give_locked(std::span<std::byte* const> buffers) {
  for (auto rest = buffers; !rest.empty();) {
    if (recent_count_ == most_recent_) send_home(most_recent_ / 2);
    const std::size_t count = std::min(rest.size(), most_recent_ - recent_count_);
    std::copy_n(rest.begin(), count, recent_ + recent_count_);
    recent_count_ += count;
    rest = rest.subspan(count);
  }
  free_ += buffers.size();
  note_home();
  note_counts();
  wake_for_free();
}

/// Every way to a whole slab comes by here. A store only where it changes something: who finds no buffer looks at it
/// from other processors.
void Depot::note_home() {
  if (!may_have_whole_slabs_.load(std::memory_order_relaxed))
    may_have_whole_slabs_.store(true, std::memory_order_relaxed);
}

std::size_t Depot::give_back_slabs() noexcept {
  if (!may_have_whole_slabs_.load(std::memory_order_acquire)) return 0;
  const std::lock_guard lock(mutex_);
  const std::size_t before = capacity_;
  send_home(recent_count_);
  while (!by_fullness_.back().empty()) uncut_slab(by_fullness_.back().front());
  may_have_whole_slabs_.store(false, std::memory_order_release);  // who sees it, finds the slabs with the node
  note_counts();
  return (before - capacity_) / class_.per_slab * class_.slab_bytes;
}

std::size_t Depot::take_recent(std::span<std::byte*> out) {
  const std::size_t count = std::min(out.size(), recent_count_);
  recent_count_ -= count;
  std::copy_n(recent_ + recent_count_, count, out.begin());
  return count;
}

/// Of the slabs with a buffer home, one of which most are away: so that others become whole. kNoChunk when there is
/// none.
std::uint32_t Depot::fullest_slab() const {
  for (const SlabList& list : by_fullness_) {
    if (!list.empty()) return list.front();
  }
  return kNoChunk;
}

/// The list of the slabs that have so many buffers home, by quarters; nullptr: of none.
SlabList* Depot::list_for(std::uint32_t free_count) {
  if (free_count == 0) return nullptr;
  if (free_count == class_.per_slab) return &by_fullness_.back();
  const std::uint32_t half = class_.per_slab / 2;
  const bool upper = free_count > half;
  return &by_fullness_[2 * std::size_t{upper} + std::size_t{free_count - (upper ? half : 0) > half / 2}];
}

void Depot::set_free_count(std::uint32_t chunk, std::uint32_t free_count) {
  SlabList* const before = list_for(map_[chunk].free_count);
  SlabList* const after = list_for(free_count);
  map_[chunk].free_count = free_count;
  if (before == after) return;
  if (before != nullptr) before->remove(chunk);
  if (after != nullptr) after->push(chunk);
}

std::size_t Depot::take_from_slab(std::uint32_t chunk, std::span<std::byte*> out) {
  const Slab& slab = map_[chunk];
  std::uint64_t* bits = map_.bits(chunk);
  std::byte* const start = map_.address(chunk);
  const std::size_t count = std::min<std::size_t>(slab.free_count, out.size());
  std::size_t word = 0;
  for (std::size_t i = 0; i < count; ++i) {
    while (bits[word] == 0) ++word;
    out[i] = start + (word * 64 + static_cast<unsigned>(std::countr_zero(bits[word]))) * class_.stride;
    bits[word] &= bits[word] - 1;
  }
  set_free_count(chunk, slab.free_count - static_cast<std::uint32_t>(count));
  return count;
}

/// The oldest of those that came home last go to their slabs.
void Depot::send_home(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) give_to_slab(recent_[i]);
  std::copy(recent_ + count, recent_ + recent_count_, recent_);
  recent_count_ -= count;
}

void Depot::give_to_slab(std::byte* buffer) {
  const std::uint32_t chunk = map_.start_of(buffer);
  const std::uint32_t index = index_in_slab(chunk, buffer);
  std::uint64_t& word = map_.bits(chunk)[index / 64];
  const std::uint64_t bit = 1ULL << index % 64;
  if ((word & bit) != 0)
    base::fatal("a buffer of %u bytes was returned twice: two parts of the program held it", bytes());
  word |= bit;
  set_free_count(chunk, map_[chunk].free_count + 1);
  // One of the small slabs stays: the next burst finds it. Large ones are dear, and back in a moment.
  const Slab& slab = map_[chunk];
  if (slab.free_count < class_.per_slab) return;
  if (class_.slab_bytes > kChunkBytes || slab.next != kNoChunk) uncut_slab(chunk);
}

std::uint32_t Depot::index_in_slab(std::uint32_t chunk, const std::byte* buffer) const {
  const auto offset = static_cast<std::uint64_t>(buffer - map_.address(chunk));
  return static_cast<std::uint32_t>(offset * inverse_stride_ >> kInverseShift);
}

bool Depot::is_buffer(std::uint32_t chunk, const std::byte* address) const {
  const std::uint32_t index = index_in_slab(chunk, address);
  return index < class_.per_slab && map_.address(chunk) + std::size_t{index} * class_.stride == address;
}

std::byte* Depot::buffer_of(std::uint32_t chunk, const std::byte* address) const {
  return map_.address(chunk) + std::size_t{index_in_slab(chunk, address)} * class_.stride;
}

void Depot::note_counts() {
  if (free_ > capacity_ / kStarvedShare) starved_ = false;
  record_.capacity.store(capacity_, std::memory_order_relaxed);
  record_.free.store(free_, std::memory_order_relaxed);
  const std::uint64_t out = capacity_ - free_;
  if (out > record_.high_water.load(std::memory_order_relaxed))
    record_.high_water.store(out, std::memory_order_relaxed);
}

bool Depot::cut_slab() {
  const std::uint32_t chunk = source_.take(order_);
  if (chunk == kNoChunk) return false;
  for (std::uint32_t i = 0; i < 1U << order_; ++i) {
    map_[chunk + i].state = Slab::State::cut;
    map_[chunk + i].order = static_cast<std::uint8_t>(order_);
    map_[chunk + i].lane = static_cast<std::uint16_t>(lane_index_);
  }
  std::uint64_t* bits = map_.bits(chunk);
  for (std::uint32_t i = 0; i < class_.per_slab; i += 64) {
    const std::uint32_t left = class_.per_slab - i;
    bits[i / 64] = left >= 64 ? ~std::uint64_t{0} : (1ULL << left) - 1;
  }
  map_[chunk].free_count = 0;
  set_free_count(chunk, class_.per_slab);
  guard_cut(map_.address(chunk), class_.slab_bytes, lane());
  note_home();
  free_ += class_.per_slab;
  capacity_ += class_.per_slab;
  return true;
}

void Depot::uncut_slab(std::uint32_t chunk) {
  set_free_count(chunk, 0);
  for (std::uint32_t i = 0; i < 1U << order_; ++i) map_[chunk + i].state = Slab::State::none;
  free_ -= class_.per_slab;
  capacity_ -= class_.per_slab;
  guard_uncut(map_.address(chunk), class_.slab_bytes);
  source_.give(chunk, order_);
}

void Depot::adopt(Magazine& magazine) noexcept {
  const std::lock_guard lock(mutex_);
  magazine.lane = lane();
  magazine.bytes = class_.bytes;
  magazine.limit = std::min(kFirstLimit, magazine_capacity_);
  magazines_.push_back(&magazine);
}

void Depot::disown(Magazine& magazine) noexcept {
  {
    const std::lock_guard lock(mutex_);
    std::erase(magazines_, &magazine);
    magazine.capacity.store(0, std::memory_order_relaxed);
    give_oldest(magazine, magazine.count());
    record_.lends.fetch_add(magazine.lends(), std::memory_order_relaxed);
    record_.magazine_lends.fetch_add(magazine.lends(), std::memory_order_relaxed);
    const std::uint64_t from_depot = magazine.from_depot.load(std::memory_order_relaxed);
    record_.drops.fetch_add(magazine.lends() - from_depot, std::memory_order_relaxed);
    record_.requested.fetch_add(magazine.requested.load(std::memory_order_relaxed), std::memory_order_relaxed);
    magazine.~Magazine();
    new (&magazine) Magazine{};
  }
  feed_others();
}

/// True when the magazine is open now: it may keep what it has and take more.
bool Depot::may_keep(Magazine& magazine) {
  const bool may = !starved_ && waiters_.empty() && !source_.any_has_waiters();
  magazine.capacity.store(may ? magazine.limit : 0, std::memory_order_relaxed);
  return may && magazine_capacity_ > 0;
}

/// The magazine was empty or full: next time it is so half as often, if the thread may keep so much.
void Depot::widen(Magazine& magazine) {
  const std::uint32_t wider = std::min(2 * magazine.limit, magazine_capacity_);
  const std::size_t more = std::size_t{wider - magazine.limit} * class_.bytes;
  if (more > 0 && (budget_ == nullptr || budget_->widen(magazine, more))) magazine.limit = wider;
}

void Depot::give_oldest(Magazine& magazine, std::uint64_t count) {
  if (count == 0) return;
  give_locked({magazine.buffers, count});
  std::copy(magazine.buffers + count, magazine.buffers + magazine.count(), magazine.buffers);
  note_from_depot(magazine, -count);
  add_alone(record_.flushes, 1);
}

bool Depot::refill(Magazine& magazine) noexcept {
  if (magazine_capacity_ == 0) return false;
  const std::lock_guard lock(mutex_);
  if (magazine.count() > 0) return true;
  widen(magazine);
  if (!may_keep(magazine)) return false;
  const std::uint64_t drops = magazine.lends() - magazine.from_depot.load(std::memory_order_relaxed);
  const bool only_lends = stands_still(magazine, 2 * drops + 1);
  const std::size_t limit = magazine.limit;
  const std::size_t got = take_locked({magazine.buffers, only_lends ? limit : (limit + 1) / 2});
  if (got == 0) return false;
  note_from_depot(magazine, got);
  add_alone(record_.refills, 1);
  return true;
}

bool Depot::make_room(Magazine& magazine, bool at_home) noexcept {
  if (magazine_capacity_ == 0) return false;
  bool may = false;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t count = magazine.count();
    if (count >= magazine.limit) widen(magazine);
    may = may_keep(magazine);
    if (!may) {
      give_oldest(magazine, count);
    } else if (count >= magazine.limit) {
      const bool only_drops = stands_still(magazine, 2 * magazine.lends());
      give_oldest(magazine, at_home && !only_drops ? (count + 1) / 2 : count);
    }
  }
  feed_others();
  return may;
}

void Depot::empty(Magazine& magazine) noexcept {
  {
    const std::lock_guard lock(mutex_);
    give_oldest(magazine, magazine.count());
    const std::uint32_t narrow = std::min(kFirstLimit, magazine_capacity_);
    if (budget_ != nullptr) budget_->narrow(magazine, std::size_t{magazine.limit - narrow} * class_.bytes);
    magazine.limit = narrow;
    may_keep(magazine);
  }
  feed_others();
}

std::size_t Depot::take_with(Magazine& magazine, std::span<std::byte*> out) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t count = magazine.count();
  const std::uint64_t cached = std::min<std::uint64_t>(count, out.size());
  std::copy_n(magazine.buffers + count - cached, cached, out.begin());
  note_from_depot(magazine, -cached);
  return cached < out.size() ? cached + take_locked(out.subspan(cached)) : cached;
}

void Depot::close_magazines() noexcept {
  const std::lock_guard lock(mutex_);
  close_locked();
}

/// Whoever of the node waits for memory gets what this class has whole.
void Depot::feed_others() noexcept {
  if (!source_.any_has_waiters()) return;
  give_back_slabs();
  std::array<Depot*, kLanesPerNode> in_need{};
  const std::size_t count = source_.with_waiters(in_need);
  for (Depot* depot : std::span(in_need).first(count)) depot->feed();
}

void Depot::retire() noexcept {
  const std::lock_guard lock(registry_mutex());  // a thread that ends now would take its magazine away
  while (!magazines_.empty()) disown(*magazines_.back());
  set_depot(lane_index_, nullptr);
  guard_retire(lane());
}

bool Depot::enqueue_waiter(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (waiter.waiting) return true;
  settle_promise(waiter);
  if (free_ > 0 || cut_slab() || waiters_.size() == kMostWaiters) {
    note_counts();
    return false;
  }
  waiter.waiting = true;
  waiters_.push_back(&waiter);
  close_locked();
  if (waiters_.size() == 1) source_.set_has_waiters(*this, true);
  return true;
}

void Depot::remove_waiter(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  settle_promise(waiter);
  if (waiter.waiting) {
    waiter.waiting = false;
    std::erase(waiters_, &waiter);
    if (waiters_.empty()) source_.set_has_waiters(*this, false);
  }
  wake_for_free();
}

/// Who was woken has looked, or never will.
void Depot::settle_promise(Waiter& waiter) {
  if (std::exchange(waiter.woken, false) && promised_ > 0) --promised_;
}

void Depot::feed() noexcept {
  const std::lock_guard lock(mutex_);
  wake_for_free();
  while (!waiters_.empty() && cut_slab()) {
    note_counts();
    wake_for_free();
  }
}

/// Wakes as many as there are buffers that nobody was woken for yet.
void Depot::wake_for_free() {
  if (waiters_.empty() || free_ <= promised_) return;
  const std::size_t count = std::min(free_ - promised_, waiters_.size());
  for (std::size_t i = 0; i < count; ++i) {
    waiters_[i]->waiting = false;
    waiters_[i]->woken = true;
    os::signal_event(waiters_[i]->event);
  }
  promised_ += count;
  waiters_.erase(waiters_.begin(), waiters_.begin() + static_cast<std::ptrdiff_t>(count));
  if (waiters_.empty()) source_.set_has_waiters(*this, false);
}

}  // namespace weir::detail
