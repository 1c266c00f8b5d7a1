#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/units.h"
#include "borrows.h"
#include "commands.h"
#include "failure.h"
#include "symbols.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using base::format_size;
using Json = nlohmann::ordered_json;
using std::chrono::nanoseconds;

double seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

/// "640 ms", "5.2 s", "3 min 20 s", "2 h 5 min".
std::string age_text(nanoseconds age) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (whole < 1) return fmt::format("{} ms", age / std::chrono::milliseconds(1));
  if (whole < 60) return fmt::format("{:.1f} s", seconds(age));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

/// A file knows addresses only.
class Places {
 public:
  explicit Places(const OpenTarget& target) {
    if (target.process) symbols_.emplace(*target.process);
  }
  /// Why there are no functions of a module, by its name.
  std::map<std::string, std::string> faults() const {
    return symbols_ ? symbols_->faults() : std::map<std::string, std::string>{};
  }
  CodePlace operator()(std::uint64_t address) { return symbols_ ? symbols_->caller(address) : CodePlace{}; }

 private:
  std::optional<Symbols> symbols_;
};

/// What lies between the borrower's call and the note of it.
bool is_of_pool(const CodePlace& place) {
  constexpr std::array kOfPool{"weir::detail::", "weir::Pool::", "weir::Lane::", "weir::NodeLane::"};
  return std::any_of(kOfPool.begin(), kOfPool.end(),
                     [&](const char* start) { return place.function.starts_with(start); });
}

std::string place_text(const CodePlace& place, std::uint64_t address) {
  const std::string where = place.file.empty() ? place.module : fmt::format("{}:{}", place.file, place.line);
  if (where.empty()) return fmt::format("{:#x}", address);
  if (place.function.empty()) return fmt::format("{}+{:#x}", place.module, place.offset);
  return fmt::format("{}  ({})", place.function, where);
}

std::string stack_text(const BorrowGroup& group, Places& places) {
  std::string text;
  for (const std::uint64_t address : group.stack) {
    const CodePlace place = places(address);
    if (text.empty() && is_of_pool(place)) continue;
    text += fmt::format("    {}\n", place_text(place, address));
  }
  return text;
}

std::string plural(std::uint64_t count) { return fmt::format("{} {}", count, count == 1 ? "loan" : "loans"); }

std::string group_text(const BorrowGroup& group, Places& places) {
  const std::string tag = group.tag.empty() ? "no tag" : group.tag;
  return fmt::format("\n{}, {}, {}: the oldest for {}, by thread {} of pool {}\n{}", bold(tag), plural(group.loans),
                     format_size(group.bytes), bold(age_text(group.oldest)), group.thread, group.pool,
                     stack_text(group, places));
}

std::string borrows_text(const Borrows& borrows, nanoseconds older, Places& places) {
  std::string text = fmt::format("{} out", plural(borrows.loans));
  if (older.count() > 0) text += fmt::format(" for {} or longer", age_text(older));
  if (borrows.oldest && borrows.loans == 0)
    text += fmt::format("; the oldest is out for {}", age_text(*borrows.oldest));
  text += "\n";
  if (borrows.unlisted > 0)
    text += yellow(fmt::format("and {} more, beyond the room to note them", borrows.unlisted)) + "\n";
  for (const BorrowGroup& group : borrows.groups) text += group_text(group, places);
  return text;
}

Json json_of(const BorrowGroup& group, Places& places) {
  Json frames = Json::array();
  for (const std::uint64_t address : group.stack) {
    const CodePlace place = places(address);
    frames.push_back({{"address", fmt::format("{:#x}", address)},
                      {"function", place.function},
                      {"file", place.file},
                      {"line", place.line},
                      {"module", place.module},
                      {"offset", place.offset}});
  }
  return {{"pool", group.pool},   {"tag", group.tag},       {"loans", group.loans},
          {"bytes", group.bytes}, {"thread", group.thread}, {"oldest_seconds", seconds(group.oldest)},
          {"stack", frames}};
}

std::string borrows_json(const Borrows& borrows, Places& places) {
  Json json{{"loans", borrows.loans}, {"unlisted", borrows.unlisted}};
  json["oldest_seconds"] = borrows.oldest ? Json(seconds(*borrows.oldest)) : Json();
  json["holders"] = Json::array();
  for (const BorrowGroup& group : borrows.groups) json["holders"].push_back(json_of(group, places));
  json["unnamed"] = Json::object();
  for (const auto& [module, fault] : places.faults()) json["unnamed"][module] = fault;
  return json.dump() + "\n";
}

/// Why something that one would like to read is not there.
void print_gaps(const OpenTarget& open, const Borrows& borrows, const Places& places) {
  if (borrows.groups.empty()) return;
  if (!open.process) {
    fmt::print("\na file has the addresses of the stacks only: give the PID, while it runs, for their names\n");
    return;
  }
  if (borrows.clock_unknown)
    fmt::print("\nits time namespace is not known here: the ages are counted back from its newest loan\n");
  for (const auto& [module, fault] : places.faults()) {
    fmt::print("\nno names of {}: {}{}\n", module, fault,
               geteuid() == 0 ? "" : fmt::format("; try `sudo weir holders {}`", open.process->id));
  }
}

}  // namespace

void run_holders(const Target& target, nanoseconds older, bool json) {
  const OpenTarget open = open_target(target);
  const Borrows borrows = read_borrows(open, older);
  if (!borrows.traced) {
    throw Failure(
        "no pool there notes its borrowers: restart the program with WEIR_TRACE=1; each lend then takes some three "
        "microseconds more, and goes past the threads' magazines");
  }
  Places places(open);
  fmt::print("{}", json ? borrows_json(borrows, places) : borrows_text(borrows, older, places));
  if (!json) print_gaps(open, borrows, places);
}

}  // namespace weir::tool
