#include "sim/setup.h"

#include <algorithm>
#include <string>

#include "options/strategies.h"
#include "sim/report.h"

namespace weir::sim {
namespace {

using Ring = detail::StrategyFacts::Ring;

bool is_possible(Strategy strategy, const Personality& kernel, bool epoll) {
  if (strategy == Strategy::automatic) return true;
  if (epoll || strategy == Strategy::epoll) return epoll && strategy == Strategy::epoll;
  const Ring ring = detail::facts_of(strategy).ring;
  return (ring == Ring::none || kernel.multishot) && (ring != Ring::bundle || kernel.bundles) &&
         (ring != Ring::slice || kernel.incremental);
}

/// A few of them, so that a seed is about their meeting.
std::vector<Strategy> draw_strategies(Random& random, const Personality& kernel, bool epoll) {
  std::vector<Strategy> drawn;
  const std::size_t count = random.between(1, 4);
  while (drawn.size() < count) {
    const Strategy strategy = strategies()[random.below(strategies().size())];
    if (is_possible(strategy, kernel, epoll)) drawn.push_back(strategy);
  }
  return drawn;
}

bool is_incremental(Strategy strategy) {
  return strategy != Strategy::automatic && detail::facts_of(strategy).ring == Ring::slice;
}

/// How many buffer rings a receiver has in the end, at most.
std::size_t rings_of(const Setup& setup) {
  std::size_t rings = 1;  // of `automatic`
  for (const Strategy each : setup.strategies) {
    if (each != Strategy::automatic) rings += detail::facts_of(each).sized ? setup.options.classes.size() : 1;
  }
  return rings;
}

/// A pool in which all rings and one buffer of each class have room, whichever slabs they happen to lie in: else what
/// is parked could wait for ever, with the rings having all there is. What makes it short is who keeps or borrows.
void draw_pool(Random& random, Setup& setup) {
  Options& options = setup.options;
  const bool incremental = std::any_of(setup.strategies.begin(), setup.strategies.end(), is_incremental);
  static const std::vector<std::uint32_t> kClasses[] = {
      {4096}, {1024, 8192}, {2048, 16384}, {16384}, {2048, 4096, 8192}};
  static const std::vector<std::uint32_t> kLargeClasses[] = {{4096, 65536}, {65536}};
  options.classes = incremental ? random.pick(kLargeClasses) : random.pick(kClasses);
  options.page_classes = {};
  options.alerts = Alerts::off;
  options.pages = Pages::small;
  options.slab_bytes = std::size_t{incremental ? 128U : 64U} * 1024;
  options.receive_bytes = options.classes[random.below(options.classes.size())];
  options.ring_entries = 1U << random.below(4);
  const std::size_t of_rings = setup.receivers * rings_of(setup) * (1 + options.ring_entries);
  options.bytes = (2 + of_rings + options.classes.size() + random.below(3)) * options.slab_bytes;
  options.max_bytes = options.bytes;
}

void tell(const Setup& setup) {
  const Options& options = setup.options;
  trace("Linux %s%s, %zu receivers, %u submissions, %u completions", setup.personality.name,
        setup.epoll ? ", epoll" : (setup.shape.flags != 0 ? ", deferred" : ""), setup.receivers,
        setup.shape.submissions, setup.shape.completions);
  std::string names;
  for (const Strategy each : setup.strategies) names += std::string(" ") + name_of(each);
  trace("pool of %zu KiB, buffers of %u bytes, rings of %u; idle after %u ms, ended after %u ms; by%s",
        options.bytes / 1024, options.receive_bytes, options.ring_entries, options.idle_ms, options.deadline_ms,
        names.c_str());
}

}  // namespace

Setup draw_setup(Random& random) {
  const Personality& personality = random.pick(kPersonalities);
  const unsigned deferred = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
  const bool can_defer = personality.multishot;  // both came with 6.0 and 6.1
  const bool epoll = random.chance(10);
  const unsigned submissions = 1U << random.between(1, 5);
  constexpr std::uint32_t kIdle[] = {0, 1, 20, 1000};
  constexpr std::uint32_t kDeadlines[] = {0, 0, 30, 2000};
  Setup setup{
      .personality = personality,
      .epoll = epoll,
      .shape = {.submissions = submissions,
                .completions = submissions << random.below(3),
                .flags = can_defer && random.chance(60) ? deferred : 0},
      .strategies = draw_strategies(random, personality, epoll),
      .receivers = random.chance(30) ? random.between(2, 3) : 1,
      .options = {},
      .handler_acts = static_cast<unsigned>(random.below(30)),
      .keeps = static_cast<unsigned>(random.below(100)),
      .most_connections = random.between(1, 12),
  };
  draw_pool(random, setup);
  setup.options.recv = setup.strategies.front();
  setup.options.idle_ms = random.pick(kIdle);
  setup.options.deadline_ms = random.pick(kDeadlines);
  tell(setup);
  return setup;
}

}  // namespace weir::sim
