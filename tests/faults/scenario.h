#pragma once

#include <weir/options.h>

#include <string>
#include <vector>

namespace weir::testing {

/// What came of a scenario.
struct Outcome {
  std::vector<std::string> errors;    ///< the weir::Errors that set-up threw
  std::vector<std::string> grades;    ///< of every arena that there was
  std::vector<std::string> problems;  ///< promises that were broken
};

/// The life of a pool, from its construction to its destruction: buffers lent here and in other threads, growth and
/// trimming, and (`with_rings`) a buffer ring, a registered pool and a receiver with a parked connection.
Outcome play(const Options& options, bool with_rings);

}  // namespace weir::testing
