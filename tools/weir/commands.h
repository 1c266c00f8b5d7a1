#pragma once

#include <chrono>
#include <cstdint>
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
void run_env(bool json);

}  // namespace weir::tool
