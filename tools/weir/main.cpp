#include <fmt/format.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "commands.h"
#include "core/segment.h"
#include "failure.h"

namespace weir::tool {
namespace {

const std::map<std::string, std::uint32_t> kTimeUnits{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

int fail(const std::string& line, int exit_code) {
  fmt::print(stderr, "weir: {}\n", line);
  return exit_code;
}

/// The command line, and the subcommand that it chose.
struct CommandLine {
  CLI::App app{"Looks at the I/O buffer pools of running programs."};
  Target target;
  bool json = false;
  std::uint32_t older_ms = 0;
  std::function<void()> chosen;

  CommandLine() {
    app.name("weir");
    app.require_subcommand(1);
    app.set_version_flag("--version",
                         fmt::format("weir {} (reads segments of version {})", WEIR_VERSION, detail::kSegmentVersion));
    add_reading("stat", "Show a process's pools: who holds the buffers, the memory's grade, the receivers.",
                [this] { run_stat(target, json); });
    add_holders();
    add("ls", "List the processes that have pools.", [this] { run_ls(json); });
    add("env", "Show every WEIR_* variable: its value, its meaning and what it takes.", [this] { run_env(json); });
  }

  CLI::App* add(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = app.add_subcommand(name, meaning);
    command->add_flag("--json", json, "Print JSON, one line");
    command->callback([this, run = std::move(run)] { chosen = run; });
    return command;
  }

  void add_holders() {
    CLI::App* command =
        add_reading("holders", "Show who holds buffers, the oldest loans first: needs WEIR_TRACE=1 there.",
                    [this] { run_holders(target, std::chrono::milliseconds(older_ms), json); });
    command->add_option("--older", older_ms, "Only loans that are out for so long: 500ms, 5s, 2m or 1h")
        ->type_name("TIME")
        ->transform(CLI::AsNumberWithUnit(kTimeUnits, CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"));
  }

  /// A subcommand that looks into a process or a file.
  CLI::App* add_reading(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add(name, meaning, std::move(run));
    auto* pid = command->add_option("PID", target.pid, "The process; needed only when several have pools");
    pid->type_name("")->check(CLI::Range(1, std::numeric_limits<int>::max()).description(""));
    command->add_option("--segment", target.segment_path, "Read this file: /proc/PID/fd/N, or a copy of one")
        ->type_name("FILE")
        ->excludes(pid);
    return command;
  }
};

int run(int count, char** arguments) {
  CommandLine line;
  try {
    line.app.parse(count, arguments);
    line.chosen();
  } catch (const CLI::RequiredError&) {
    return fail("say what to do: stat, holders, ls or env; see `weir --help`", kExitUsage);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return line.app.exit(error);  // --help, --version
    return fail(std::string(error.what()) + ": see `weir --help`", kExitUsage);
  } catch (const Failure& failure) {
    return fail(failure.what(), failure.exit_code());
  } catch (const Error& error) {
    return fail(error.what(), kExitUsage);  // a WEIR_* variable
  }
  if (std::fflush(stdout) != 0) return fail(fmt::format("cannot write: {}", std::strerror(errno)), kExitFailed);
  return 0;
}

}  // namespace
}  // namespace weir::tool

int main(int count, char** arguments) { return weir::tool::run(count, arguments); }
