#include "receive/timing_wheel.h"

#include <algorithm>
#include <bit>

namespace weir::detail {

TimingWheel::TimingWheel(Duration tick, Time now)
    : tick_(tick), done_(static_cast<std::uint64_t>(now.time_since_epoch() / tick)) {
  first_.fill(kNobody);
}

std::uint64_t TimingWheel::tick_of(Time when) const noexcept {
  return static_cast<std::uint64_t>((when.time_since_epoch() + tick_ - Duration(1)) / tick_);
}

void TimingWheel::set(std::uint32_t id, Time when) {
  if (id >= entries_.size()) entries_.resize(id + 1);
  if (has(id)) unlink(id);
  entries_[id].tick = std::max(tick_of(when), done_ + 1);
  link(id);
}

void TimingWheel::set_by_then(std::uint32_t id, Time when) {
  if (!has(id) || tick_of(when) < entries_[id].tick) set(id, when);
}

void TimingWheel::remove(std::uint32_t id) noexcept {
  if (!has(id)) return;
  unlink(id);
  entries_[id].tick = kNone;
}

void TimingWheel::link(std::uint32_t id) noexcept {
  Entry& entry = entries_[id];
  entry.slot = static_cast<std::uint32_t>(std::min(entry.tick, done_ + kSlots - 1) % kSlots);
  entry.before = kNobody;
  entry.after = std::exchange(first_[entry.slot], id);
  if (entry.after != kNobody) entries_[entry.after].before = id;
  filled_[entry.slot / 64] |= 1ULL << entry.slot % 64;
}

void TimingWheel::unlink(std::uint32_t id) noexcept {
  const Entry& entry = entries_[id];
  (entry.before != kNobody ? entries_[entry.before].after : first_[entry.slot]) = entry.after;
  if (entry.after != kNobody) entries_[entry.after].before = entry.before;
  if (first_[entry.slot] == kNobody) filled_[entry.slot / 64] &= ~(1ULL << entry.slot % 64);
}

TimingWheel::Time TimingWheel::next() const noexcept {
  for (std::uint64_t ahead = 1; ahead <= kSlots;) {
    const std::uint64_t slot = (done_ + ahead) % kSlots;
    const std::uint64_t rest = filled_[slot / 64] >> slot % 64;
    if (rest != 0) {
      const auto tick = static_cast<std::int64_t>(done_ + ahead) + std::countr_zero(rest);
      return Time(tick * tick_);
    }
    ahead += 64 - slot % 64;
  }
  return Time::max();
}

}  // namespace weir::detail
