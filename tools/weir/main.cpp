#include <fmt/format.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

#include "commands.h"
#include "core/segment.h"
#include "failure.h"

namespace weir::tool {
namespace {

int fail(const std::string& line, int exit_code) {
  std::fflush(stdout);  // what was found comes before what is made of it
  fmt::print(stderr, "weir: {}\n", line);
  return exit_code;
}

/// The command line, and the subcommand that it chose.
struct CommandLine {
  CLI::App app{"Looks at the I/O buffer pools of running programs."};
  Target target;
  bool json = false;
  unsigned seconds = 0;
  std::string load = "1000,16k";
  std::function<void()> chosen;

  CommandLine() {
    app.name("weir");
    app.require_subcommand(1);
    app.set_version_flag("--version",
                         fmt::format("weir {} (reads segments of version {})", WEIR_VERSION, detail::kSegmentVersion));
    add_reading("stat", "Show a process's pools: who holds the buffers, the memory's grade, the receivers.",
                [this] { run_stat(target, json); });
    add_reading("advise", "Say what would have served a process with less memory or fewer misses, and why.",
                [this] { run_advise(target, seconds, json); })
        ->add_option("--seconds", seconds, "Judge by what happens in so many from now, not since the start")
        ->type_name("N")
        ->check(CLI::Range(1, 86400).description(""));
    add("doctor",
        "Check this machine: what is ok, degraded or broken for weir, and the commands that fix it.\nSuggests "
        "variables for a load. Exits with 0: all ok, 3: something degraded, 1: something broken.",
        [this] { run_doctor(load, json); })
        ->add_option("--load", load, "What a server is to bear, for example 10000,4k")
        ->type_name("CONNECTIONS[,BYTES]")
        ->capture_default_str();
    add("ls", "List the processes that have pools.", [this] { run_ls(json); });
    add_pid(*add("env", "Show every WEIR_* variable: its value, its source, its meaning and what it takes.",
                 [this] { run_env(target.pid, json); }),
            "Show what this process was started with");
  }

  CLI::App* add(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = app.add_subcommand(name, meaning);
    command->add_flag("--json", json, "Print JSON, one line");
    command->callback([this, run = std::move(run)] { chosen = run; });
    return command;
  }

  CLI::Option* add_pid(CLI::App& command, const char* meaning) {
    const auto any = CLI::Range(1, std::numeric_limits<int>::max()).description("");
    return command.add_option("PID", target.pid, meaning)->type_name("")->check(any);
  }

  /// A subcommand that looks into a process or a file.
  CLI::App* add_reading(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add(name, meaning, std::move(run));
    CLI::Option* pid = add_pid(*command, "The process; needed only when several have pools");
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
    return fail("say what to do; see `weir --help`", kExitUsage);
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
