#include "advice.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "terminal.h"
#include "watched.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kTelling = 1000;  // receives or lends

void print_json(const Snapshot& snapshot, const std::vector<Advice>& advice) {
  Json json{{"pid", snapshot.pid}, {"program", snapshot.program}, {"advice", Json::array()}};
  for (const Advice& each : advice) {
    json["advice"].push_back(
        {{"pool", each.pool}, {"finding", each.finding}, {"effect", each.effect}, {"line", each.line}});
  }
  fmt::print("{}\n", json.dump());
}

std::uint64_t receives_of(const Snapshot& snapshot) {
  std::uint64_t receives = 0;
  for (const ReceiverRow& row : snapshot.receivers) receives += row.receives;
  return receives;
}

void print_text(const Snapshot& snapshot, const std::vector<Advice>& advice, double seconds) {
  const std::string span = seconds > 0 ? fmt::format("in the last {:g} s", seconds) : "since its start";
  fmt::print("{}, {}\n", bold(fmt::format("{}, process {}", snapshot.program, snapshot.pid)), span);
  for (const Advice& each : advice)
    fmt::print("\npool {}: {}\n  {}\n  {}\n", each.pool, each.finding, bold(each.line), each.effect);
  const std::uint64_t receives = receives_of(snapshot);
  const std::uint64_t lends = snapshot.tally().lends;
  const bool is_telling = receives + lends >= kTelling;
  if (!is_telling) {
    fmt::print("\ntoo little happened to judge the rest by: {} receives, {} lends; ask again when it is busy\n",
               receives, lends);
  } else if (advice.empty()) {
    fmt::print("\nnothing to change\n");
  }
}

/// What happens in the next so many seconds.
Snapshot coming(const Target& target, double seconds) {
  const Watched watched(target);
  const Sample before = watched.look();
  watched.wait_until(before.at +
                     std::chrono::round<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds)));
  return since(watched.look().snapshot, before.snapshot);
}

}  // namespace

void run_advise(const Target& target, double seconds, bool json) {
  const Snapshot snapshot = seconds > 0 ? coming(target, seconds) : look_at(open_target(target));
  const std::vector<Advice> advice = advise(snapshot);
  if (json) return print_json(snapshot, advice);
  print_text(snapshot, advice, seconds);
}

}  // namespace weir::tool
