#include "sim/setup.h"

#include "sim/report.h"

namespace weir::sim {
namespace {

constexpr std::size_t kSlab = std::size_t{64} * 1024;

/// Size classes, the largest of which is received into.
const std::vector<std::uint32_t> kClasses[] = {{512, 4096}, {1024, 8192}, {2048, 16384}, {16384}, {4096, 32768}};

/// A pool in which a ring and one buffer of each class have room, whichever slabs they happen to lie in: else what is
/// parked could wait for ever, with the ring having all there is. What makes it short is who keeps or borrows.
Options draw_options(Random& random, const Personality& personality) {
  Options options;
  options.classes = random.pick(kClasses);
  options.page_classes = {};
  options.pages = Pages::small;
  options.slab_bytes = kSlab;
  options.receive_bytes = options.classes.back();
  options.ring_entries = 1U << random.below(4);
  const std::size_t slabs = 2 + options.ring_entries + options.classes.size() + random.below(3);
  options.bytes = slabs * kSlab;
  options.recv = draw_strategy(random, personality);
  constexpr std::uint32_t kIdle[] = {0, 1, 20, 1000};
  constexpr std::uint32_t kDeadlines[] = {0, 0, 30, 2000};
  options.idle_ms = random.pick(kIdle);
  options.deadline_ms = random.pick(kDeadlines);
  return options;
}

}  // namespace

Strategy draw_strategy(Random& random, const Personality& personality) {
  while (true) {
    const StrategyRow& row = random.pick(kStrategies);
    if (row.possible(personality)) return row.strategy;
  }
}

Setup draw_setup(Random& random) {
  const Personality& personality = random.pick(kPersonalities);
  const unsigned deferred = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
  const bool can_defer = personality.multishot;  // both came with 6.0 and 6.1
  const unsigned submissions = 1U << random.between(1, 5);
  Setup setup{
      .personality = personality,
      .shape = {.submissions = submissions,
                .completions = submissions << random.below(3),
                .flags = can_defer && random.chance(60) ? deferred : 0},
      .options = draw_options(random, personality),
      .handler_acts = static_cast<unsigned>(random.below(30)),
      .keeps = static_cast<unsigned>(random.below(100)),
      .most_connections = random.between(1, 12),
  };
  trace("Linux %s%s, %u submissions, %u completions; pool of %zu KiB, buffers of %u bytes, ring of %u; %s, idle after "
        "%u ms, ended after %u ms",
        personality.name, setup.shape.flags != 0 ? " (deferred)" : "", setup.shape.submissions,
        setup.shape.completions, setup.options.bytes / 1024, setup.options.receive_bytes, setup.options.ring_entries,
        name_of(setup.options.recv), setup.options.idle_ms, setup.options.deadline_ms);
  return setup;
}

}  // namespace weir::sim
