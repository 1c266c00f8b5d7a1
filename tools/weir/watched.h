#pragma once

#include <chrono>

#include "file.h"
#include "snapshot.h"
#include "target.h"

namespace weir::tool {

struct Sample {
  Snapshot snapshot;
  std::chrono::steady_clock::time_point at;
};

double seconds_between(const Sample& before, const Sample& now);

/// A process, or a file, that is looked at again and again.
class Watched {
 public:
  /// Throws Failure as open_target does, and of a saved copy.
  explicit Watched(const Target& target);
  /// Throws Failure when the process has gone on to another program, or the file has become shorter.
  Sample look() const;
  /// For poll: readable once the process has ended. -1: it is a file, which has no end.
  int end_fd() const { return process_.fd(); }
  /// Throws the Failure which says that the process has ended, if it does so before.
  void wait_until(std::chrono::steady_clock::time_point when) const;
  /// Throws the Failure that says so.
  [[noreturn]] void tell_end() const;

 private:
  bool runs_another() const;

  OpenTarget target_;
  File process_;
  File program_;  ///< its memory map, which is empty once the process runs another; none where it cannot be read
};

}  // namespace weir::tool
