#pragma once

#include <weir/strategy.h>

namespace weir::detail {

/// What a strategy does: all that the receive engine knows of it.
struct StrategyFacts {
  /// What a completion of the multishot receive carries.
  enum class Ring : std::uint8_t { none, buffer, bundle, slice };
  /// How data is waited for. `adaptive`: by receive while data comes often, else by poll.
  enum class Wait : std::uint8_t { poll, receive, adaptive };

  Strategy strategy;
  const char* name;
  Ring ring;         ///< none: by single receives, each into a loan
  bool sized;        ///< a ring for each class
  bool lazy;         ///< its rings are given a buffer only for data that found none
  Wait wait;         ///< a ring's multishot is a receive
  bool polls_first;  ///< its first wait is a poll
};

/// Data of which more is foretold is received when a poll has told of it, where `wait` is adaptive, not from a ring.
inline constexpr std::uint32_t kLargestOfRing = 16384;

/// REQUIRES: it is not automatic.
const StrategyFacts& facts_of(Strategy strategy) noexcept;

/// What a user may write for a strategy: the names of the table.
inline constexpr const char* kStrategyForm =
    "auto, ring, direct, poll_recv, poll_first, poll_adaptive, ring_lazy, ring_sized, ring_sized_lazy, "
    "ring_incremental, ring_bundle, epoll or ring_adaptive";

}  // namespace weir::detail
