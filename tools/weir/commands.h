#pragma once

#include <chrono>

#include "target.h"

namespace weir::tool {

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

void run_stat(const Target& target, bool json);
/// `older`: only of loans that are out for so long.
void run_holders(const Target& target, std::chrono::nanoseconds older, bool json);
void run_ls(bool json);
void run_env(bool json);

}  // namespace weir::tool
