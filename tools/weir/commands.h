#pragma once

#include <optional>
#include <string>

#include "target.h"

namespace weir::tool {

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

void run_stat(const Target& target, bool json);
void run_ls(bool json);
/// `seconds`: of what is counted from now on; 0: of all since the process's start.
void run_advise(const Target& target, unsigned seconds, bool json);
/// `load` is CONNECTIONS[,BYTES]. Throws Failure after printing: 1 when something is broken, 3 when it is degraded.
void run_doctor(const std::string& load, bool json);
/// What a process was started with, or this one; throws Failure after that, when a value is bad.
void run_env(std::optional<int> pid, bool json);

}  // namespace weir::tool
