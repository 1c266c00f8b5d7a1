#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "options/strategies.h"
#include "os/clock.h"
#include "receive/fill_target.h"
#include "ring/ring_slots.h"

namespace weir::detail {

/// A receiver's buffer rings, by what their strategy asks of them; each is registered when it is first needed. Their
/// group numbers follow each other.
class Groups {
 public:
  static constexpr std::uint8_t kNone = UINT8_MAX;

  /// `ring`: nullptr where there is no io_uring, and no group either.
  Groups(PoolState& pool, io_uring* ring, std::uint16_t first);
  ~Groups();
  Groups(Groups&&) = default;
  Groups& operator=(Groups&&) = delete;

  /// Index of the ring for receives of `bytes` by a strategy with rings. Throws Error.
  std::uint8_t need(const StrategyFacts& strategy, std::uint32_t bytes);
  /// The same; where that ring cannot be had, `otherwise`: then none is tried for again for a while.
  std::uint8_t need_or(const StrategyFacts& strategy, std::uint32_t bytes, std::uint8_t otherwise,
                       os::Time now) noexcept;

  RingSlots& operator[](std::uint8_t index) noexcept { return *groups_[index].slots; }
  /// A request that may use buffers of the ring is with the kernel, or is so no more.
  void note_asked(std::uint8_t index) noexcept;
  void note_ended(std::uint8_t index, os::Time now) noexcept;
  /// Has each that is in use hold what its demand asks for, as far as its share of the pool goes and there are buffers.
  void replenish(os::Time now) noexcept;
  void replenish(std::uint8_t index, os::Time now) noexcept { replenish(groups_[index], now); }
  /// Brings home what those hold that nobody has used for the idle time, and of which nobody waits for data.
  void withdraw_idle(os::Time now) noexcept;
  /// When withdraw_idle() has something to do.
  os::Time next_idle() const noexcept;
  /// Index of a ring with a buffer that is promised to nobody; kNone when there is none.
  std::uint8_t lender() const noexcept;
  /// One of its buffers is for a receive that was asked for; until that tells of something.
  void promise(std::uint8_t index) noexcept { ++groups_[index].promised; }
  void settle_promise(std::uint8_t index) noexcept { --groups_[index].promised; }

  std::size_t filled() const noexcept;
  /// The kernel may still write to their buffers: they are lost.
  void abandon() noexcept;

 private:
  struct Group {
    StrategyFacts::Ring ring;
    bool lazy;
    std::unique_ptr<RingSlots, EndRing> slots;
    FillTarget target;
    std::uint32_t filled = 0;  ///< slots with a buffer when it was replenished
    std::uint32_t requests = 0;
    std::uint32_t promised = 0;
    os::Time used{};  ///< the last time that its filled slots were seen to have changed, or a request of it ended
    os::Time dry{};   ///< the last time that there was nothing for it
  };

  void replenish(Group& group, os::Time now) noexcept;
  std::uint32_t within_limits(const Group& group) const noexcept;
  os::Time idle_at(const Group& group) const noexcept;

  std::uint32_t buffer_bytes_for(const StrategyFacts& strategy, std::uint32_t bytes) const;
  std::uint8_t find(StrategyFacts::Ring ring, bool lazy, std::uint32_t buffer_bytes) const noexcept;
  std::uint8_t make(const StrategyFacts& strategy, std::uint32_t buffer_bytes);
  std::uint16_t next_number() const;

  PoolState& pool_;
  io_uring* const ring_;
  const std::uint16_t first_;
  std::vector<Group> groups_;
  os::Time tries_again_{};  ///< after a ring that could not be had
};

}  // namespace weir::detail
