#include "advice.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

void print_json(const Snapshot& snapshot, const std::vector<Advice>& advice) {
  Json json{{"pid", snapshot.pid}, {"program", snapshot.program}, {"advice", Json::array()}};
  for (const Advice& each : advice) {
    json["advice"].push_back(
        {{"pool", each.pool}, {"finding", each.finding}, {"effect", each.effect}, {"line", each.line}});
  }
  fmt::print("{}\n", json.dump());
}

void print_text(const Snapshot& snapshot, const std::vector<Advice>& advice, unsigned seconds) {
  const std::string span = seconds > 0 ? fmt::format("in the last {} s", seconds) : "since its start";
  fmt::print("{}, {}\n", bold(fmt::format("{}, process {}", snapshot.program, snapshot.pid)), span);
  for (const Advice& each : advice)
    fmt::print("\npool {}: {}\n  {}\n  {}\n", each.pool, each.finding, bold(each.line), each.effect);
  if (advice.empty()) fmt::print("\nnothing to change\n");
}

}  // namespace

void run_advise(const Target& target, unsigned seconds, bool json) {
  const OpenTarget open = open_target(target);
  Snapshot snapshot = take_snapshot(*open.reader);
  if (seconds > 0) {
    const Snapshot earlier = snapshot;
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    snapshot = since(take_snapshot(*open.reader), earlier);
  }
  if (open.pid) snapshot.pid = static_cast<std::uint32_t>(*open.pid);
  const std::vector<Advice> advice = advise(snapshot);
  if (json) return print_json(snapshot, advice);
  print_text(snapshot, advice, seconds);
}

}  // namespace weir::tool
