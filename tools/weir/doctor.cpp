#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "commands.h"
#include "diagnosis.h"
#include "failure.h"
#include "terminal.h"
#include "text.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;
using base::format_size;

constexpr int kExitDegraded = 3;
constexpr std::uint64_t kMostConnections = 1U << 24;  // of a receiver
constexpr std::uint64_t kMostMessage = 1U << 30;

/// "CONNECTIONS" or "CONNECTIONS,BYTES".
Load parse_load(const std::string& text) {
  Load load;
  const std::size_t comma = std::min(text.find(','), text.size());
  const auto connections = base::parse_size(text.substr(0, comma));
  const auto bytes = comma < text.size() ? base::parse_size(text.substr(comma + 1)) : load.message_bytes;
  const bool sound = connections && *connections > 0 && *connections <= kMostConnections && bytes && *bytes > 0 &&
                     *bytes <= kMostMessage;
  if (!sound) {
    throw Failure(fmt::format("--load {}: it takes connections up to {}, and maybe the size of a message up to 1g; for "
                              "example: weir doctor --load 10000,4k",
                              printable(text), kMostConnections),
                  kExitUsage);
  }
  return {.connections = *connections, .message_bytes = *bytes};
}

std::string coloured(Health health) {
  const std::string name = fmt::format("{:<8}", name_of(health));
  return health == Health::ok ? green(name) : health == Health::degraded ? yellow(name) : red(name);
}

void print_finding(const Finding& finding) {
  fmt::print("{}  {}: {}\n", coloured(finding.health), bold(finding.what), finding.fact);
  if (!finding.meaning.empty()) fmt::print("          {}\n", finding.meaning);
  if (!finding.fix.empty()) fmt::print("          fix: {}\n", finding.fix);
}

/// How the strategy that `auto` takes here comes by its buffers.
void print_rings(const Plan& plan) {
  if (plan.ring_entries == 0) {
    fmt::print("  a buffer only once there is data: receivers poll, as there are no buffer rings here\n");
  } else if (plan.ring_buffers == 0) {
    fmt::print(
        "  {} for rings, which serve smaller data: so large messages are received when a poll has told of them\n",
        format_size(plan.ring_bytes));
  } else {
    fmt::print(
        "  {} for rings, if each receiver's is filled with {} buffers, for data on a quarter of its connections\n"
        "  at once; they are filled by demand, while more than half of the pool is free\n",
        format_size(plan.ring_bytes), plan.ring_buffers);
  }
}

void print_plan(const Load& load, const Plan& plan) {
  fmt::print("\nfor {} connections with messages of {}, and {} {}, as this machine is now:\n", load.connections,
             format_size(load.message_bytes), plan.receivers, plan.receivers == 1 ? "receiver" : "receivers");
  fmt::print("  {} for a message on each connection, {} a buffer\n", format_size(plan.message_bytes),
             format_size(plan.buffer_bytes));
  print_rings(plan);
  fmt::print("  {} spare, for rings' share and for what waits in threads' magazines\n", format_size(plan.spare_bytes));
  fmt::print("  {} in all: huge pages of 2 MiB on each node: {}, {}\n", format_size(plan.bytes),
             plan.huge_pages_a_node(), plan.small_bytes == 0 ? "which are free" : "which are not free everywhere");
  fmt::print("  {} against the memlock limit, {} open files\n\n", format_size(plan.memlock_bytes), plan.files);
  for (const auto& [name, value] : plan.variables) fmt::print("export {}={}\n", name, value);
}

Json json_of(const Finding& finding) {
  return {{"health", name_of(finding.health)},
          {"what", finding.what},
          {"fact", finding.fact},
          {"meaning", finding.meaning},
          {"fix", finding.fix}};
}

Json json_of(const Plan& plan) {
  Json json{{"receivers", plan.receivers},
            {"buffer_bytes", plan.buffer_bytes},
            {"ring_entries", plan.ring_entries},
            {"ring_buffers", plan.ring_buffers},
            {"ring_bytes", plan.ring_bytes},
            {"message_bytes", plan.message_bytes},
            {"spare_bytes", plan.spare_bytes},
            {"bytes", plan.bytes},
            {"huge_pages_a_node", plan.huge_pages_a_node()},
            {"memlock_bytes", plan.memlock_bytes},
            {"files", plan.files},
            {"variables", Json::object()}};
  for (const auto& [name, value] : plan.variables) json["variables"][name] = value;
  return json;
}

void print_json(const std::vector<Finding>& findings, const Load& load, const Plan& plan) {
  Json json{{"health", name_of(health_of(findings))}, {"findings", Json::array()}};
  for (const Finding& finding : findings) json["findings"].push_back(json_of(finding));
  json["load"] = {{"connections", load.connections}, {"message_bytes", load.message_bytes}};
  json["plan"] = json_of(plan);
  fmt::print("{}\n", json.dump());
}

/// For scripts, and as the last line for people.
void fail_unless_ok(const std::vector<Finding>& findings) {
  const Health worst = health_of(findings);
  if (worst == Health::ok) return;
  const auto count = std::ranges::count(findings, worst, &Finding::health);
  throw Failure(fmt::format("{} of {} findings {} {}: see above for what it means, and for the fix", count,
                            findings.size(), count == 1 ? "is" : "are", name_of(worst)),
                worst == Health::broken ? kExitFailed : kExitDegraded);
}

}  // namespace

void run_doctor(const std::string& load_text, bool json) {
  const Load load = parse_load(load_text);
  const Machine machine = read_machine();
  const Plan plan = make_plan(load, machine);
  const std::vector<Finding> findings = diagnose(machine, plan);
  if (json) {
    print_json(findings, load, plan);
  } else {
    for (const Finding& finding : findings) print_finding(finding);
    print_plan(load, plan);
  }
  fail_unless_ok(findings);
}

}  // namespace weir::tool
