#pragma once

#include <memory>
#include <optional>
#include <string>

#include "process.h"
#include "segment_reader.h"
#include "snapshot.h"

namespace weir::tool {

/// What a subcommand looks into: a process, or a file that holds a segment; neither: the only process that has one.
struct Target {
  std::optional<int> pid;
  std::string segment_path;
  std::string command;  ///< the subcommand's name
};

/// The target's segment, and whose it is.
struct OpenTarget {
  std::unique_ptr<SegmentReader> reader;
  std::optional<Process> process;  ///< none: a file was given
  bool is_copy = false;            ///< that was saved: nothing changes in it
};

/// Throws Failure: there is none, there are several to choose from, it may not be looked into, or it is no segment.
OpenTarget open_target(const Target& target);

/// What the segment holds now. The process and its threads have the numbers by which they are seen here.
Snapshot look_at(const OpenTarget& target);

/// For who looks more than once: throws Failure of a saved copy.
void require_process(const OpenTarget& open);

}  // namespace weir::tool
