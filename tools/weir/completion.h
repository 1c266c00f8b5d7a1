#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace weir::tool {

/// Prints the shell's script that completes the command line `app`: its subcommands, their options and values.
/// REQUIRES: shell is bash, zsh or fish.
void run_completion(const CLI::App& app, const std::string& shell);

}  // namespace weir::tool
