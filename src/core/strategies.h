#pragma once

#include <weir/strategy.h>

namespace weir::detail {

/// What a strategy does: all that the receive engine knows of it.
struct StrategyFacts {
  Strategy strategy;
  const char* name;
  bool ring;    ///< receives by a multishot, from a buffer ring; others by single receives, each into a loan
  bool polls;   ///< waits by poll, holding nothing; others wait by a receive until they have been idle
  bool drains;  ///< after data it receives again before it polls
};

/// REQUIRES: it is not automatic.
const StrategyFacts& facts_of(Strategy strategy) noexcept;

}  // namespace weir::detail
