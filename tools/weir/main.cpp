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
#include "completion.h"
#include "core/segment.h"
#include "failure.h"
#include "notes.h"

namespace weir::tool {
namespace {

const std::map<std::string, std::uint32_t> kTimeUnits{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

int fail(const std::string& line, int exit_code) {
  std::fflush(stdout);  // what was found comes before what is made of it
  fmt::print(stderr, "weir: {}\n", line);
  return exit_code;
}

/// The command line, and the subcommand that it chose.
struct CommandLine {
  CLI::App app{"Looks at the I/O buffer pools of running programs."};
  Target target;
  Pace pace;
  Pictures pictures;
  bool json = false;
  bool openmetrics = false;
  std::string save_path;
  std::string listen;
  std::string shell;
  std::uint32_t older_ms = 0;
  unsigned seconds = 0;
  std::string load = "1000,16k";
  std::function<void()> chosen;

  CommandLine() {
    app.name("weir");
    app.require_subcommand(1);
    app.set_version_flag("--version",
                         fmt::format("weir {} (reads segments of version {})", WEIR_VERSION, detail::kSegmentVersion));
    add_reading("stat", "Show a process's pools: who holds the buffers, the memory's grade, the receivers.",
                [this] { run_stat(target, json, save_path); })
        ->add_option("--save", save_path,
                     "Keep what is shown in FILE too, for --segment. A file that is there is overwritten only if it is "
                     "such a copy itself")
        ->type_name("FILE");
    add_watch();
    add_top();
    add_map();
    add_holders();
    add_export();
    add_completion();
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

  CLI::App* add_plain(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = app.add_subcommand(name, meaning);
    command->callback([this, run = std::move(run)] { chosen = run; });
    return command;
  }

  CLI::App* add(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add_plain(name, meaning, std::move(run));
    command->add_flag("--json", json, "Print JSON, one line");
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

  CLI::Option* add_pid(CLI::App& command, const char* meaning) {
    const auto any = CLI::Range(1, std::numeric_limits<int>::max()).description("");
    return command.add_option("PID", target.pid, meaning)->type_name("")->check(any);
  }

  /// A subcommand that looks into a process or a file.
  CLI::App* add_reading(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add(name, meaning, std::move(run));
    add_target(command);
    return command;
  }

  void add_target(CLI::App* command) {
    CLI::Option* pid = add_pid(*command, "The process; needed only when several have pools");
    command->add_option("--segment", target.segment_path, "Read this file: /proc/PID/fd/N, or a copy of one")
        ->type_name("FILE")
        ->excludes(pid);
  }

  void add_interval(CLI::App* command) {
    const std::map<std::string, double> units{{"ms", 0.001}, {"s", 1}, {"m", 60}};
    command->add_option("--interval", pace.seconds, "How often it looks, e.g. 500ms, 1s, 1m (default: 1s)")
        ->transform(CLI::AsNumberWithUnit(units).description(""))
        ->check(CLI::Range(0.01, 86400.0).description(""))
        ->type_name("TIME");
  }

  void add_watch() {
    CLI::App* command = add_reading("watch", "Print a line a second: what is received and lent, and who holds buffers.",
                                    [this] { run_watch(target, pace, json); });
    add_interval(command);
    command->add_option("--count", pace.count, "End after so many lines (default: the process's end, or Ctrl-C)")
        ->type_name("N")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}).description(""));
    command->footer(kWatchNotes);
  }

  void add_top() {
    CLI::App* command =
        add_plain("top", "Show on the whole screen who holds buffers over time, and what they are lent for.",
                  [this] { run_top(target, pace); });
    add_target(command);
    add_interval(command);
    command->footer(kTopNotes);
  }

  void add_completion() {
    CLI::App* command = add_plain("completion", "Print what a shell needs to complete the words of weir's commands.",
                                  [this] { run_completion(app, shell); });
    command->add_option("SHELL", shell, "The shell")
        ->required()
        ->type_name("{bash,zsh,fish}")
        ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
    command->footer(kCompletionNotes);
  }

  void add_map() {
    CLI::App* map =
        add_reading("map", "Show where each slab lies and who holds its buffers. Exact while nothing moves.",
                    [this] { run_map(target, pictures, json); });
    map->add_option("--svg", pictures.svg_path, "Draw it into this file instead")->type_name("FILE");
    map->add_option("--html", pictures.html_path, "The same, as a page")->type_name("FILE");
  }

  void add_export() {
    CLI::App* command = add_plain("export", "Show a process's counts as metrics for Prometheus, once or by HTTP.",
                                  [this] { run_export(target, openmetrics, listen); });
    add_target(command);
    command->add_flag("--openmetrics", openmetrics,
                      "In the OpenMetrics format, rather than Prometheus' own text. By HTTP, who asks for it gets it");
    command
        ->add_option("--listen", listen,
                     "Answer GET /metrics at this address until Ctrl-C, each time with the counts of that moment, or "
                     "with 503 while there is no such process; port 0 is any free one")
        ->type_name("ADDRESS:PORT");
  }
};

int run(int count, char** arguments) {
  CommandLine line;
  try {
    line.app.parse(count, arguments);
    line.chosen();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return line.app.exit(error);  // --help, --version
    return fail(std::string(error.what()) + ": see `weir --help`", kExitUsage);
  } catch (const Failure& failure) {
    return fail(failure.what(), failure.exit_code());
  } catch (const Error& error) {
    return fail(error.what(), kExitUsage);  // a WEIR_* variable
  } catch (const std::exception& error) {
    return fail(error.what(), kExitFailed);  // no memory, for one
  }
  if (std::fflush(stdout) != 0) return fail(fmt::format("cannot write: {}", std::strerror(errno)), kExitFailed);
  return 0;
}

}  // namespace
}  // namespace weir::tool

int main(int count, char** arguments) { return weir::tool::run(count, arguments); }
