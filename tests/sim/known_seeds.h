#pragma once

#include <cstdint>

namespace weir::sim {

/// A seed that broke an invariant once.
struct KnownSeed {
  std::uint64_t seed;
  const char* fault;  ///< what was wrong, in the engine or in the simulator
};

/// They are far from the seeds that are always run, so they are run beside those.
inline constexpr KnownSeed kKnownSeeds[] = {
    {7006355, "simulator: slices of a ring that was withdrawn were still looked for when its memory was used anew"},
    {900000482, "engine: a connection without data, whose ring others emptied, was armed from it again and again"},
    {48113904797, "engine: the same, with one receiver"},
    {20261201094670, "simulator: who was paused while it was parked was not known to have kept its place"},
    {77000547874, "simulator: the same"},
    {3000000461304,
     "engine: a receive that polled first on an empty ring, filled by then, hid the end behind its data"},
    {20261201676754, "engine: the end of a connection that was stopped was looked for in a file that was closed"},
};

}  // namespace weir::sim
