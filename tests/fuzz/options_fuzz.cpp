#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "options/options.h"

// The input is an environment: lines of NAME=VALUE. Whatever they are, they are refused by one helpful line, or make
// options that are valid and whose shown values give the same options again. Every value is also read as a size, and
// compared with another reading.

namespace {

using Variables = std::map<std::string, std::string>;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "options_fuzz: %s\n", what);
  std::abort();
}

/// The names that there are, and their values when nothing is set.
const Variables& defaults() {
  static const Variables instance = [] {
    Variables values;
    for (const weir::OptionLine& line : weir::describe_options(weir::own_environment())) values[line.name] = line.value;
    return values;
  }();
  return instance;
}

Variables parse(std::string_view text) {
  Variables variables;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string name = "WEIR_" + std::string(line.substr(0, equals));
    const std::string_view value = line.substr(std::min(line.size(), equals + 1));
    if (defaults().contains(name)) variables[name] = value.substr(0, value.find('\0'));
  }
  return variables;
}

void set_environment(const Variables& variables) {
  for (const auto& [name, value] : defaults()) unsetenv(name.c_str());
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
}

Variables shown() {
  Variables values;
  for (const weir::OptionLine& line : weir::describe_options(weir::own_environment())) values[line.name] = line.value;
  return values;
}

void check_refusal(const weir::Error& error) {
  const std::string_view said = error.what();
  check(error.code().value() == EINVAL, "refused without EINVAL");
  check(said.starts_with("WEIR_"), "refused without the name of the variable");
  check(said.find("; for example: export WEIR_") != said.npos, "refused without the line that fixes it");
}

void check_options(const Variables& variables) {
  set_environment(variables);
  Variables values;
  try {
    weir::validate(weir::Options::from_env());
    values = shown();
  } catch (const weir::Error& error) {
    check_refusal(error);
    return;
  }
  set_environment(values);
  check(shown() == values, "the values shown do not give the same options");
}

/// Digits, then k, m or g, then b or ib; by another way than the library's.
std::optional<std::uint64_t> read_size(std::string_view text) {
  unsigned __int128 number = 0;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    number = number * 10 + static_cast<unsigned>(text[digits] - '0');
    if (number > UINT64_MAX) return std::nullopt;
  }
  static const std::map<std::string_view, unsigned> suffixes = [] {
    std::map<std::string_view, unsigned> all{{"", 0}, {"b", 0}, {"B", 0}};
    unsigned shift = 0;
    for (const char* unit : {"k", "kb", "kB", "kib", "kiB", "K", "Kb", "KB", "Kib", "KiB",  //
                             "m", "mb", "mB", "mib", "miB", "M", "Mb", "MB", "Mib", "MiB",  //
                             "g", "gb", "gB", "gib", "giB", "G", "Gb", "GB", "Gib", "GiB"}) {
      all[unit] = 10 * (1 + shift++ / 10);
    }
    return all;
  }();
  const auto suffix = suffixes.find(text.substr(digits));
  if (digits == 0 || suffix == suffixes.end()) return std::nullopt;
  number <<= suffix->second;
  return number > UINT64_MAX ? std::nullopt : std::optional(static_cast<std::uint64_t>(number));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Variables variables = parse({reinterpret_cast<const char*>(data), size});
  check_options(variables);
  for (const auto& [name, value] : variables)
    check(weir::base::parse_size(value) == read_size(value), "a size is read otherwise");
  return 0;
}
