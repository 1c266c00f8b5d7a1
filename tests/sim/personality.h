#pragma once

namespace weir::sim {

/// A kernel version: what it can, and where it answers otherwise than the others.
struct Personality {
  const char* name;
  bool buffer_rings;
  bool multishot;
  bool incremental;
  bool bundles;
  bool early_enobufs;     ///< a multishot that took the last buffer ends at once, though there is no more data
  bool swap_runs_tasks;   ///< registering a ring runs task work, also where that is deferred
  bool multishot_length;  ///< a multishot may name the most that each receive takes
  bool hides_end;  ///< a local socket's multishot that polls first, and finds data and the end, tells the data only
};

inline constexpr Personality kPersonalities[] = {
    {"5.10", false, false, false, false, false, false, false, false},
    {"6.1", true, true, false, false, true, true, false, false},
    {"6.12", true, true, true, true, true, false, false, false},
    {"6.18", true, true, true, true, false, false, true, true},
};

}  // namespace weir::sim
