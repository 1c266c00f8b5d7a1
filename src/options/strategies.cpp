#include "options/strategies.h"

#include <algorithm>
#include <array>

namespace weir {
namespace {

using Ring = detail::StrategyFacts::Ring;
using Wait = detail::StrategyFacts::Wait;

/// By the number of the strategy. The facts of `automatic` are those of another, which the receiver chooses.
constexpr std::array<detail::StrategyFacts, 13> kFacts{{
    // strategy, name, ring, sized, lazy, wait, polls_first
    {Strategy::automatic, "auto", Ring::none, false, false, Wait::poll, false},
    {Strategy::ring, "ring", Ring::buffer, false, false, Wait::receive, false},
    {Strategy::direct, "direct", Ring::none, false, false, Wait::receive, false},
    {Strategy::poll_recv, "poll_recv", Ring::none, false, false, Wait::poll, true},
    {Strategy::poll_first, "poll_first", Ring::none, false, false, Wait::receive, true},
    {Strategy::poll_adaptive, "poll_adaptive", Ring::none, false, false, Wait::adaptive, true},
    {Strategy::ring_lazy, "ring_lazy", Ring::buffer, false, true, Wait::receive, false},
    {Strategy::ring_sized, "ring_sized", Ring::buffer, true, false, Wait::receive, false},
    {Strategy::ring_sized_lazy, "ring_sized_lazy", Ring::buffer, true, true, Wait::receive, false},
    {Strategy::ring_incremental, "ring_incremental", Ring::slice, false, false, Wait::receive, false},
    {Strategy::ring_bundle, "ring_bundle", Ring::bundle, false, false, Wait::receive, false},
    {Strategy::epoll, "epoll", Ring::none, false, false, Wait::poll, true},
    {Strategy::ring_adaptive, "ring_adaptive", Ring::buffer, true, false, Wait::adaptive, false},
}};

constexpr auto kAll = [] {
  std::array<Strategy, kFacts.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = kFacts[i].strategy;
  return all;
}();

}  // namespace

std::span<const Strategy> strategies() noexcept { return kAll; }

const char* name_of(Strategy strategy) noexcept {
  const auto index = static_cast<std::size_t>(strategy);
  return index < kFacts.size() ? kFacts[index].name : "?";
}

std::optional<Strategy> strategy_named(std::string_view name) noexcept {
  const auto* row = std::find_if(kFacts.begin(), kFacts.end(), [&](auto& each) { return name == each.name; });
  return row != kFacts.end() ? std::optional(row->strategy) : std::nullopt;
}

const detail::StrategyFacts& detail::facts_of(Strategy strategy) noexcept {
  return kFacts[static_cast<std::size_t>(strategy)];
}

}  // namespace weir
