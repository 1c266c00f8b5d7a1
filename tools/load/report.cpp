#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir::load {
namespace {

using Microseconds = std::chrono::duration<double, std::micro>;
using Milliseconds = std::chrono::duration<double, std::milli>;

double mebibytes(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double rate(std::uint64_t count, const Outcome& outcome) {
  return static_cast<double>(count) / std::max(outcome.measured.count(), 1e-9);
}

double cpu_a_message(const Outcome& outcome) {
  return Microseconds(outcome.server->cpu).count() / static_cast<double>(std::max<std::uint64_t>(outcome.messages, 1));
}

double at(const Outcome& outcome, double quantile) { return Microseconds(outcome.latencies.at(quantile)).count(); }

}  // namespace

std::string text_of(const Plan& plan, const Outcome& outcome) {
  std::string text = fmt::format("connections  {} active, {} idle, {} slow\n", plan.active, plan.idle, plan.slow);
  text +=
      fmt::format("messages     {} in {:.1f} s: {:.0f} a second, {:.1f} MiB/s; every byte right\n", outcome.messages,
                  outcome.measured.count(), rate(outcome.messages, outcome), rate(outcome.bytes, outcome) / (1 << 20));
  if (outcome.messages > 0) {
    text += fmt::format("latency      p50 {:.0f} us, p90 {:.0f}, p99 {:.0f}, p99.9 {:.0f}, longest {:.0f}\n",
                        at(outcome, 0.5), at(outcome, 0.9), at(outcome, 0.99), at(outcome, 0.999),
                        Microseconds(outcome.latencies.longest()).count());
  }
  for (const auto& wake : outcome.wakes) {
    text += fmt::format("wake         {} at once: {:.1f} ms\n", plan.idle, Milliseconds(wake).count());
  }
  if (outcome.server) {
    const ServerUse& use = *outcome.server;
    if (outcome.messages > 0) text += fmt::format("server       {:.2f} us of CPU a message\n", cpu_a_message(outcome));
    text += fmt::format("memory       {:.1f} MiB before, {:.1f} at most, {:.1f} after\n", mebibytes(use.bytes_before),
                        mebibytes(use.most_bytes), mebibytes(use.bytes_after));
  }
  return text;
}

std::string json_of(const Plan& plan, const Outcome& outcome) {
  nlohmann::ordered_json json{{"active", plan.active},
                              {"idle", plan.idle},
                              {"slow", plan.slow},
                              {"sizes", plan.sizes},
                              {"seconds", outcome.measured.count()},
                              {"messages", outcome.messages},
                              {"messages_per_second", rate(outcome.messages, outcome)},
                              {"bytes", outcome.bytes}};
  json["latency_us"] = {{"p50", at(outcome, 0.5)},
                        {"p90", at(outcome, 0.9)},
                        {"p99", at(outcome, 0.99)},
                        {"p99.9", at(outcome, 0.999)},
                        {"longest", Microseconds(outcome.latencies.longest()).count()}};
  json["wakes_ms"] = nlohmann::json::array();
  for (const auto& wake : outcome.wakes) json["wakes_ms"].push_back(Milliseconds(wake).count());
  if (outcome.server) {
    const ServerUse& use = *outcome.server;
    json["server"] = {{"cpu_us", Microseconds(use.cpu).count()},
                      {"cpu_us_per_message", cpu_a_message(outcome)},
                      {"bytes_before", use.bytes_before},
                      {"most_bytes", use.most_bytes},
                      {"bytes_after", use.bytes_after}};
  }
  return json.dump(2) + "\n";
}

}  // namespace weir::load
