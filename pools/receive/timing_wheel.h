#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace weir::detail {

/// Alarms of many, each known by a small number, at O(1) each: an alarm goes off at its time or up to a tick later. One
/// that is farther away than the wheel's span is met once a span and put off again.
class TimingWheel {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  TimingWheel(Duration tick, Time now);

  /// Room for alarms of ids below this, beyond which set() may throw std::bad_alloc.
  void make_room(std::size_t ids) { entries_.resize(std::max(ids, entries_.size())); }
  /// Sets the alarm of `id`, or moves it.
  void set(std::uint32_t id, Time when);
  /// The same, unless it goes off earlier anyway.
  void set_by_then(std::uint32_t id, Time when);
  void remove(std::uint32_t id) noexcept;
  bool has(std::uint32_t id) const noexcept { return id < entries_.size() && entries_[id].tick != kNone; }

  /// Calls `visit(id)` for each alarm whose time has come, which then is no longer set. It may set and remove any.
  template <typename Visit>
  void expire(Time now, Visit visit);
  /// When expire() may have something to do; Time::max() when nothing is set.
  Time next() const noexcept;

 private:
  static constexpr std::uint64_t kNone = 0;
  static constexpr std::uint32_t kNobody = UINT32_MAX;
  static constexpr std::uint64_t kSlots = 256;

  struct Entry {
    std::uint64_t tick = kNone;  ///< at whose end it goes off
    std::uint32_t slot = 0;
    std::uint32_t before = kNobody;
    std::uint32_t after = kNobody;
  };

  std::uint64_t tick_of(Time when) const noexcept;  ///< rounded up
  void link(std::uint32_t id) noexcept;
  void unlink(std::uint32_t id) noexcept;

  const Duration tick_;
  std::uint64_t done_;  ///< ticks that have been dealt with
  std::vector<Entry> entries_;
  std::array<std::uint32_t, kSlots> first_;
  std::array<std::uint64_t, kSlots / 64> filled_{};  ///< bit set: the slot has entries
};

template <typename Visit>
void TimingWheel::expire(Time now, Visit visit) {
  const auto reached = static_cast<std::uint64_t>(now.time_since_epoch() / tick_);
  if (reached > done_ + kSlots) done_ = reached - kSlots;  // each slot is met once
  while (done_ < reached) {
    const std::uint64_t slot = ++done_ % kSlots;
    while (first_[slot] != kNobody) {
      const std::uint32_t id = first_[slot];
      unlink(id);
      if (entries_[id].tick > done_) {
        link(id);
      } else {
        entries_[id].tick = kNone;
        visit(id);
      }
    }
  }
}

}  // namespace weir::detail
