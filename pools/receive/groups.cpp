#include "receive/groups.h"

#include <weir/error.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

#include "cache/slices.h"

namespace weir::detail {
namespace {

using Ring = StrategyFacts::Ring;

/// Each try takes pages of the pool and asks the kernel, and connections are armed thousands of times a second.
constexpr std::chrono::seconds kBetweenTries{10};

/// Slices are made of the largest buffers: the larger, the fewer receives are split at an end.
std::uint32_t sliced_bytes(const PoolState& pool) {
  const auto& sizes = pool.options().classes;
  const std::uint32_t largest = sizes.empty() ? 0 : sizes.back();
  if (largest >= kLeastSlicedBuffer) return largest;
  throw Error(EINVAL, "the strategy ring_incremental needs buffers of 64 KiB or more: add 64k to WEIR_CLASSES");
}

/// A bundle is taken of a ring as all others know it.
Ring kind_of(const StrategyFacts& strategy) { return strategy.ring == Ring::slice ? Ring::slice : Ring::buffer; }

}  // namespace

Groups::Groups(PoolState& pool, io_uring* ring, std::uint16_t first) : pool_(pool), ring_(ring), first_(first) {}

Groups::~Groups() {
  for (const Group& group : groups_) {
    if (group.requests > 0) pool_.leave_rings();
  }
}

std::uint8_t Groups::find(Ring ring, bool lazy, std::uint32_t buffer_bytes) const noexcept {
  const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& group) {
    return group.ring == ring && group.lazy == lazy && group.slots->buffer_bytes() == buffer_bytes;
  });
  return found != groups_.end() ? static_cast<std::uint8_t>(found - groups_.begin()) : kNone;
}

std::uint32_t Groups::buffer_bytes_for(const StrategyFacts& strategy, std::uint32_t bytes) const {
  if (kind_of(strategy) == Ring::slice) return sliced_bytes(pool_);
  return pool_.classes()[receive_class(pool_, bytes)].bytes;
}

std::uint8_t Groups::need(const StrategyFacts& strategy, std::uint32_t bytes) {
  const std::uint32_t buffer_bytes = buffer_bytes_for(strategy, bytes);
  const std::uint8_t known = find(kind_of(strategy), strategy.lazy, buffer_bytes);
  return known != kNone ? known : make(strategy, buffer_bytes);
}

std::uint8_t Groups::make(const StrategyFacts& strategy, std::uint32_t buffer_bytes) {
  const Options& options = pool_.options();
  const Ring ring = kind_of(strategy);
  const bool slices = ring == Ring::slice;
  if (groups_.size() == kNone) throw Error(EMFILE, "a receiver has 255 buffer rings already: give WEIR_CLASSES fewer");
  // As many bytes of large buffers as of those that receive_bytes asks for.
  const std::uint64_t fit = std::uint64_t{options.ring_entries} * options.receive_bytes / buffer_bytes;
  const auto entries =
      slices ? static_cast<std::uint32_t>(std::bit_floor(std::max<std::uint64_t>(fit, 1))) : options.ring_entries;
  const std::uint16_t number = next_number();
  groups_.push_back({.ring = ring, .lazy = strategy.lazy, .slots = nullptr, .target = FillTarget(entries)});
  try {
    groups_.back().slots.reset(
        new RingSlots(pool_, *ring_, number, entries, buffer_bytes, slices ? Fill::slices : Fill::whole));
  } catch (...) {
    groups_.pop_back();
    throw;
  }
  return static_cast<std::uint8_t>(groups_.size() - 1);
}

std::uint16_t Groups::next_number() const {
  const std::size_t number = first_ + groups_.size();
  if (number <= UINT16_MAX) return static_cast<std::uint16_t>(number);
  throw Error(EINVAL, "a receiver whose first buffer group is " + std::to_string(first_) + " needs group " +
                          std::to_string(number) + ", and they end at 65535: give it a lower first one");
}

std::uint8_t Groups::need_or(const StrategyFacts& strategy, std::uint32_t bytes, std::uint8_t otherwise,
                             os::Time now) noexcept {
  try {
    const std::uint32_t buffer_bytes = buffer_bytes_for(strategy, bytes);
    const std::uint8_t known = find(kind_of(strategy), strategy.lazy, buffer_bytes);
    if (known != kNone) return known;
    return now < tries_again_ ? otherwise : make(strategy, buffer_bytes);
  } catch (const std::exception& error) {
    tries_again_ = now + kBetweenTries;
    pool_.alerts().tell(AlertKind::degraded,
                        [&] { return std::string("a receiver does without a ring: ") + error.what(); });
    return otherwise;
  }
}

void Groups::note_asked(std::uint8_t index) noexcept {
  if (groups_[index].requests++ == 0) pool_.join_rings();
}

void Groups::note_ended(std::uint8_t index, os::Time now) noexcept {
  if (--groups_[index].requests > 0) return;
  groups_[index].used = now;
  pool_.leave_rings();
}

void Groups::replenish(os::Time now) noexcept {
  for (Group& group : groups_) {
    if (group.requests > 0) replenish(group, now);
  }
}

void Groups::replenish(Group& group, os::Time now) noexcept {
  if (group.dry == now) return;  // the pool was searched just now
  const std::uint32_t left = group.slots->filled();
  if (left != group.filled) group.used = now;
  group.target.note_used(group.filled - std::min(left, group.filled), now);
  group.filled = group.lazy ? left : group.slots->replenish(within_limits(group));
  if (group.filled == 0) group.dry = now;
}

/// What it is to hold: no more than its share, nor than the pool can spare, which is asked only where it matters.
std::uint32_t Groups::within_limits(const Group& group) const noexcept {
  const std::size_t bytes = group.slots->buffer_bytes();
  const std::size_t share = std::max<std::size_t>(pool_.ring_share() / bytes, 1);
  const std::size_t goal = std::min(std::size_t{group.target.wanted()}, share);
  const std::size_t filled = group.slots->filled();
  if (goal <= filled) return static_cast<std::uint32_t>(goal);
  return static_cast<std::uint32_t>(std::min(goal, filled + pool_.spare_bytes() / bytes));
}

os::Time Groups::idle_at(const Group& group) const noexcept {
  const std::chrono::milliseconds idle{pool_.options().idle_ms};
  const bool is_used = group.requests > 0 || group.slots->filled() == 0 || idle.count() == 0;
  return is_used ? os::Time::max() : group.used + idle;
}

void Groups::withdraw_idle(os::Time now) noexcept {
  for (Group& group : groups_) {
    if (idle_at(group) > now) continue;
    group.slots->withdraw();
    group.filled = group.slots->filled();
    group.used = now;  // where the kernel refused, it is asked again after the same time
  }
}

os::Time Groups::next_idle() const noexcept {
  os::Time next = os::Time::max();
  for (const Group& group : groups_) next = std::min(next, idle_at(group));
  return next;
}

std::uint8_t Groups::lender() const noexcept {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [](const Group& group) { return group.slots->filled() > group.promised; });
  return found != groups_.end() ? static_cast<std::uint8_t>(found - groups_.begin()) : kNone;
}

std::size_t Groups::filled() const noexcept {
  std::size_t filled = 0;
  for (const Group& group : groups_) filled += group.slots->filled();
  return filled;
}

void Groups::abandon() noexcept {
  for (Group& group : groups_) (void)group.slots.release();
}

}  // namespace weir::detail
