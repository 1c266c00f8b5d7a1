#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "commands.h"
#include "failure.h"
#include "options/options.h"
#include "process.h"
#include "terminal.h"
#include "text.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

/// What the process was started with: what it has set since is not seen.
Environment environment_of(pid_t id) {
  const Process process = living_process(id, "env");
  std::ifstream file(process.file("environ"), std::ios::binary);
  const std::string block{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    const std::error_code error(errno, std::generic_category());
    if (is_refusal(error)) refuse_look(process, "env");
    throw Failure(
        fmt::format("cannot read the environment of process {} ({}): {}", process.id, process.name, error.message()));
  }
  return parse_environment(block);
}

Json json_of(const OptionLine& option) {
  Json json{{"name", option.name},
            {"value", printable(option.value)},
            {"source", option.source},
            {"form", option.form},
            {"meaning", option.meaning}};
  if (!option.fault.empty()) json["fault"] = printable(option.fault);
  return json;
}

void print_json(const std::vector<OptionLine>& options, const std::vector<UnknownVariable>& unknown) {
  Json all{{"options", Json::array()}, {"unknown", Json::array()}};
  for (const OptionLine& option : options) all["options"].push_back(json_of(option));
  for (const UnknownVariable& each : unknown)
    all["unknown"].push_back({{"name", printable(each.name)}, {"nearest", each.nearest}});
  fmt::print("{}\n", all.dump());
}

void print_text(const std::vector<OptionLine>& options, const std::vector<UnknownVariable>& unknown) {
  for (const OptionLine& option : options) {
    fmt::print("{} ({})\n  {}\n  takes {}\n", bold(option.name + "=" + printable(option.value)), option.source,
               option.meaning, option.form);
    if (!option.fault.empty()) fmt::print("  {} {}\n", red("bad:"), printable(option.fault));
  }
  for (const UnknownVariable& each : unknown) {
    fmt::print("{} is ignored: there is no such option{}\n", yellow(printable(each.name)),
               each.nearest.empty() ? "" : fmt::format("; did you mean {}?", each.nearest));
  }
}

}  // namespace

void run_env(std::optional<int> pid, bool json) {
  const Environment environment = pid ? environment_of(*pid) : own_environment();
  const std::vector<OptionLine> options = describe_options(environment);
  (json ? print_json : print_text)(options, unknown_variables(environment));
  std::string bad;
  for (const OptionLine& option : options) {
    if (!option.fault.empty()) bad += (bad.empty() ? "" : ", ") + option.name;
  }
  if (!bad.empty()) throw Failure("no pool can be made while there is a bad value: " + bad);
}

}  // namespace weir::tool
