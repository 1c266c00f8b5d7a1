#pragma once

#include <optional>

#include "target.h"

namespace weir::tool {

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

void run_stat(const Target& target, bool json);
void run_ls(bool json);
/// What a process was started with, or this one; throws Failure after that, when a value is bad.
void run_env(std::optional<int> pid, bool json);

}  // namespace weir::tool
