#include <fmt/format.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "base/words.h"
#include "commands.h"
#include "common/streams.h"
#include "completion.h"
#include "failure.h"
#include "notes.h"
#include "stats/segment.h"
#include "text.h"
#include "times.h"

namespace weir::tool {
namespace {

int fail(const std::string& line, int exit_code) {
  std::fflush(stdout);  // what was found comes before what is made of it
  common::write_line("weir: " + line, common::kLastPatience);
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
  double older = 0;    // seconds
  double seconds = 0;  // from now on
  std::string load = "1000,16k";
  std::function<void()> chosen;

  CommandLine() {
    app.name("weir");
    app.require_subcommand(1);
    app.set_version_flag("--version",
                         fmt::format("weir {} (reads segments of version {})", WEIR_VERSION, detail::kSegmentVersion));
    add_stat();
    add_watch();
    add_top();
    add_map();
    add_holders();
    add_export();
    add_completion();
    add_advise();
    add_doctor();
    add("ls", "List the processes that have pools.", [this] { run_ls(json); });
    CLI::App* env = add("env", "Show every WEIR_* variable: its value, its source, its meaning and what it takes.",
                        [this] { run_env(target.pid, json); });
    add_pid(*env, "Show what this process was started with");
    env->footer(kEnvNotes);
  }

  CLI::App* add_plain(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = app.add_subcommand(name, meaning);
    command->callback([this, name, run = std::move(run)] {
      target.command = name;
      chosen = run;
    });
    return command;
  }

  CLI::App* add(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add_plain(name, meaning, std::move(run));
    command->add_flag("--json", json, "Print JSON, one line");
    return command;
  }

  void add_stat() {
    CLI::App* command =
        add_reading("stat", "Show a process's pools: who holds the buffers, the memory's grade, the receivers.",
                    [this] { run_stat(target, json, save_path); });
    add_file(*command, "--save", save_path,
             "Keep what is shown in FILE too, for --segment. A file that is there is overwritten only if it is such a "
             "copy itself");
    command->footer(kStatNotes);
  }

  void add_advise() {
    CLI::App* command =
        add_reading("advise", "Say what would have served a process with less memory or fewer misses, and why.",
                    [this] { run_advise(target, seconds, json); });
    add_time(*command, "--seconds", seconds, "Judge by what happens in so long from now, not since the start");
    command->footer(kAdviseNotes);
  }

  void add_doctor() {
    CLI::App* command = add("doctor",
                            "Check this machine: what is ok, degraded or broken for weir, and the commands that fix "
                            "it.\nSuggests variables for a load.",
                            [this] { run_doctor(load, json); });
    command->add_option("--load", load, "What a server is to bear, for example 10000,4k")
        ->type_name("CONNECTIONS[,BYTES]")
        ->capture_default_str();
    command->footer(kDoctorNotes);
  }

  void add_holders() {
    CLI::App* command =
        add_reading("holders", "Show who holds buffers, the oldest loans first: needs WEIR_TRACE=1 there.", [this] {
          run_holders(target,
                      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(older)), json);
        });
    add_time(*command, "--older", older, "Only loans that are out for so long");
    command->footer(kHoldersNotes);
  }

  /// All times are written alike.
  static CLI::Option* add_time(CLI::App& command, const char* name, double& seconds, const std::string& meaning) {
    const auto to_seconds = [](std::string& text) {
      try {
        text = fmt::format("{}", parse_time(text));
        return std::string();
      } catch (const std::invalid_argument& error) {
        return std::string(error.what());
      }
    };
    return command.add_option(name, seconds, fmt::format("{}: {}", meaning, kTimeForm))
        ->transform(CLI::Validator(to_seconds, ""))
        ->type_name("TIME");
  }

  static CLI::Option* add_file(CLI::App& command, const char* name, std::string& path, const char* meaning) {
    const auto check = [](const std::string& text) {
      return std::string(text.empty() ? "give the name of a file" : "");
    };
    return command.add_option(name, path, meaning)->check(CLI::Validator(check, ""))->type_name("FILE");
  }

  /// The library that reads the words would take a number that begins with 0 for an octal one.
  template <typename Number>
  static bool is_decimal(const std::string& text, Number most) {
    Number number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && rest == end && !text.starts_with('0') && number > 0 && number <= most;
  }

  static std::string fault_of_pid(const std::string& text) {
    return is_decimal(text, INT_MAX) ? "" : printable(text) + " is no process id";
  }

  static std::string fault_of_count(const std::string& text) {
    constexpr std::uint64_t kMost = 1'000'000'000;
    return is_decimal(text, kMost) ? "" : fmt::format("{} is no number from 1 to {}", printable(text), kMost);
  }

  CLI::Option* add_pid(CLI::App& command, const char* meaning) {
    return command.add_option("PID", target.pid, meaning)->type_name("")->check(CLI::Validator(fault_of_pid, ""));
  }

  /// A subcommand that looks into a process or a file.
  CLI::App* add_reading(const char* name, const char* meaning, std::function<void()> run) {
    CLI::App* command = add(name, meaning, std::move(run));
    add_target(command);
    return command;
  }

  void add_target(CLI::App* command) {
    CLI::Option* pid = add_pid(*command, "The process; needed only when several have pools");
    add_file(*command, "--segment", target.segment_path, "Read this file: /proc/PID/fd/N, or a copy of one")
        ->excludes(pid);
  }

  void add_interval(CLI::App* command) {
    add_time(*command, "--interval", pace.seconds, "How often it looks (default: 1s)");
  }

  void add_watch() {
    CLI::App* command = add_reading("watch", "Print a line a second: what is received and lent, and who holds buffers.",
                                    [this] { run_watch(target, pace, json); });
    add_interval(command);
    command->add_option("--count", pace.count, "End after so many lines (default: the process's end, or Ctrl-C)")
        ->type_name("N")
        ->check(CLI::Validator(fault_of_count, ""));
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
    add_file(
        *map, "--svg", pictures.svg_path,
        "Draw it into FILE; - is standard output. A file that is there is overwritten only if it is such a drawing");
    add_file(*map, "--html", pictures.html_path, "The same, as a page");
    map->footer(kMapNotes);
  }

  void add_export() {
    CLI::App* command = add_plain("export", "Show a process's counts as metrics for Prometheus, once or by HTTP.",
                                  [this] { run_export(target, openmetrics, listen); });
    add_target(command);
    command->add_flag("--openmetrics", openmetrics,
                      "In the OpenMetrics format, rather than Prometheus' own text. By HTTP, who asks for it gets it");
    command
        ->add_option(
            "--listen", listen,
            "Answer GET /metrics at this address until Ctrl-C, each time with the counts of that moment, or "
            "with 503 while there is no such process, or, without a PID, several have pools; port 0 is any free one")
        ->type_name("ADDRESS:PORT");
    command->footer(kExportNotes);
  }
};

/// The subcommand's name that is most like the word; empty when none is like it.
std::string nearest_command(const CLI::App& app, const std::string& word) {
  std::size_t least = word.size() / 2 + 1;
  std::string nearest;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::size_t distance = base::edit_distance(word, command->get_name());
    if (distance >= least) continue;
    least = distance;
    nearest = command->get_name();
  }
  return nearest;
}

/// What is wrong with the command line, and whose help says how it is right.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error, const char* first) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (!chosen.empty()) return fmt::format("{}: see `weir {} --help`", error.what(), chosen.front()->get_name());
  const std::string word = printable(first);
  if (word.empty() || word.front() == '-') return fmt::format("{}: see `weir --help`", error.what());
  const std::string nearest = nearest_command(app, word);
  return fmt::format("there is no command {}{}: see `weir --help`", word,
                     nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
}

int print_help(const CLI::App& app, const CLI::ParseError& help_or_version) {
  std::ostringstream text;
  app.exit(help_or_version, text, text);
  fmt::print("{}", text.str());
  return common::end_output("weir", 0);
}

int run(int count, char** arguments) {
  CommandLine line;
  try {
    line.app.parse(count, arguments);
    line.chosen();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return print_help(line.app, error);
    return fail(usage_error(line.app, error, count > 1 ? arguments[1] : ""), kExitUsage);
  } catch (const Failure& failure) {
    return fail(failure.what(), failure.exit_code());
  } catch (const Error& error) {
    return fail(error.what(), kExitUsage);  // a WEIR_* variable
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::broken_pipe) return fail(error.what(), kExitFailed);
    errno = EPIPE;
    return common::output_failed("weir");
  } catch (const std::exception& error) {
    return fail(error.what(), kExitFailed);  // no memory, for one
  }
  return common::end_output("weir", 0);
}

}  // namespace
}  // namespace weir::tool

int main(int count, char** arguments) {
  weir::common::prepare_streams();
  return weir::tool::run(count, arguments);
}
