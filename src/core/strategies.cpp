#include "core/strategies.h"

#include <algorithm>
#include <array>

namespace weir {
namespace {

/// By the number of the strategy. The facts of `automatic` are those of another, which the receiver chooses.
constexpr std::array<detail::StrategyFacts, 5> kStrategies{{
    {Strategy::automatic, "auto", false, false, false},
    {Strategy::ring, "ring", true, false, false},
    {Strategy::direct, "direct", false, false, false},
    {Strategy::poll_recv, "poll_recv", false, true, false},
    {Strategy::poll_first, "poll_first", false, true, true},
}};

}  // namespace

const char* name_of(Strategy strategy) noexcept {
  const auto index = static_cast<std::size_t>(strategy);
  return index < kStrategies.size() ? kStrategies[index].name : "?";
}

std::optional<Strategy> strategy_named(std::string_view name) noexcept {
  const auto* row = std::find_if(kStrategies.begin(), kStrategies.end(), [&](auto& each) { return name == each.name; });
  return row != kStrategies.end() ? std::optional(row->strategy) : std::nullopt;
}

const detail::StrategyFacts& detail::facts_of(Strategy strategy) noexcept {
  return kStrategies[static_cast<std::size_t>(strategy)];
}

}  // namespace weir
