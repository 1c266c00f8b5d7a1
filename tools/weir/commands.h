#pragma once

#include "target.h"

namespace weir::tool {

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

void run_stat(const Target& target, bool json);
void run_ls(bool json);
void run_env(bool json);

}  // namespace weir::tool
