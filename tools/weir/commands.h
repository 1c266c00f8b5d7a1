#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "target.h"

namespace weir::tool {

/// How often is looked, and how many times.
struct Pace {
  double seconds = 1;
  std::uint64_t count = UINT64_MAX;
};

// The subcommands. Each prints to standard output, or throws Failure or weir::Error.

/// `save_path` may be empty: then nothing is saved.
void run_stat(const Target& target, bool json, const std::string& save_path);
/// `listen` may be empty: then it prints once.
void run_export(const Target& target, bool openmetrics, const std::string& listen);
/// Files to draw the map into; empty: none.
struct Pictures {
  std::string svg_path;
  std::string html_path;
};
void run_map(const Target& target, const Pictures& pictures, bool json);
/// `older`: only of loans that are out for so long.
void run_holders(const Target& target, std::chrono::nanoseconds older, bool json);
void run_ls(bool json);
void run_watch(const Target& target, const Pace& pace, bool json);
void run_top(const Target& target, const Pace& pace);
/// `seconds`: of what is counted from now on; 0: of all since the process's start.
void run_advise(const Target& target, double seconds, bool json);
/// `load` is CONNECTIONS[,BYTES]. Throws Failure after printing: 1 when something is broken, 3 when it is degraded.
void run_doctor(const std::string& load, bool json);
/// What a process was started with, or this one; throws Failure after that, when a value is bad.
void run_env(std::optional<int> pid, bool json);

}  // namespace weir::tool
