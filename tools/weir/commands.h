#pragma once

#include <optional>
#include <string>

namespace weir::tool {

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

struct StatTarget {
  std::optional<int> pid;    ///< of the process to look into
  std::string segment_path;  ///< or the file that holds a segment; neither: the only process that has one
};

void run_stat(const StatTarget& target, bool json);
void run_ls(bool json);
void run_env(bool json);

}  // namespace weir::tool
