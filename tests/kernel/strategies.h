#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "kernel/scarce.h"
#include "kernel/world.h"

// Tests that run once for every strategy and kind of io_uring.

namespace weir::testing {

/// All on an io_uring.
inline constexpr std::array kStrategies{Strategy::ring,          Strategy::direct,          Strategy::poll_recv,
                                        Strategy::poll_first,    Strategy::poll_adaptive,   Strategy::ring_lazy,
                                        Strategy::ring_sized,    Strategy::ring_sized_lazy, Strategy::ring_incremental,
                                        Strategy::ring_adaptive, Strategy::ring_bundle};

inline bool has_ring(Strategy strategy) { return std::string_view(name_of(strategy)).starts_with("ring"); }
inline bool is_lazy(Strategy strategy) { return std::string_view(name_of(strategy)).ends_with("lazy"); }
/// Its ring has buffers for connections of which nothing is known yet.
inline bool fills_ring(Strategy strategy) {
  return has_ring(strategy) && !is_lazy(strategy) && strategy != Strategy::ring_adaptive;
}

using StrategyCase = std::tuple<Strategy, unsigned>;

class WithEachStrategy : public ::testing::TestWithParam<StrategyCase> {
 protected:
  static Strategy strategy() { return std::get<0>(GetParam()); }
  static unsigned flags() { return std::get<1>(GetParam()); }
  static std::unique_ptr<World> make(Options options, unsigned entries = 64, unsigned completions = 512) {
    options.recv = strategy();
    return std::make_unique<World>(std::move(options),
                                   World::Shape{.flags = flags(), .entries = entries, .completions = completions});
  }

  /// A pool of hardly a buffer, of the size that the strategy needs.
  static Options scarce(std::size_t buffers, std::uint32_t entries) {
    Options options = testing::scarce(buffers, entries, strategy() == Strategy::ring_incremental ? 65536 : 4096);
    options.idle_ms = 20;
    return options;
  }

  std::mt19937_64 random_{seed() + 7U};
};

inline std::string name_of_case(const ::testing::TestParamInfo<StrategyCase>& info) {
  return std::string(name_of(std::get<0>(info.param))) + (std::get<1>(info.param) == 0 ? "_ordinary" : "_deferred");
}

inline bool all_ended(const World& world) {
  return std::all_of(world.peers.begin(), world.peers.end(), [](auto& peer) { return peer->ended; });
}

}  // namespace weir::testing

#define WITH_EACH_STRATEGY(suite)                                                                               \
  INSTANTIATE_TEST_SUITE_P(Each, suite,                                                                         \
                           ::testing::Combine(::testing::ValuesIn(weir::testing::kStrategies),                  \
                                              ::testing::Values(0U, weir::testing::kDeferred)),                 \
                           weir::testing::name_of_case);                                                        \
  INSTANTIATE_TEST_SUITE_P(OnEpoll, suite, ::testing::Values(weir::testing::StrategyCase{Strategy::epoll, 0U}), \
                           weir::testing::name_of_case)
