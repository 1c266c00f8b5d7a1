// weir-load: speaks to an echo server and compares every byte that comes back.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <string>

#include "common/end_signals.h"
#include "common/numbers.h"
#include "load.h"
#include "report.h"
#include "server/log.h"
#include "server/service.h"

namespace {

using namespace weir;

constexpr double kMostConnections = 10'000'000;
constexpr double kDay = 86400;

struct Arguments {
  std::string connect;
  std::vector<std::size_t> sizes{64};
  double seconds = 10;
  double warm_up = 1;
  double wake_every = 0;
  unsigned spin = 0;
  bool json = false;
};

void add_options(CLI::App& app, Arguments& arguments, load::Plan& plan) {
  app.add_option("--connect", arguments.connect, "where the server listens, e.g. 127.0.0.1:7000")->required();
  app.add_option("--connections", plan.active, "connections that send a message, await its echo, and send the next")
      ->check(common::from_to(0, kMostConnections))
      ->capture_default_str();
  app.add_option("--idle", plan.idle, "connections that send a message when they have connected, then are silent")
      ->check(common::from_to(0, kMostConnections));
  app.add_option("--wake-every", arguments.wake_every, "seconds after which the idle send a message, all at once")
      ->check(common::from_to(0, kDay));
  app.add_option("--slow", plan.slow, "connections that send without end and do not read")
      ->check(common::from_to(0, kMostConnections));
  app.add_option("--size", arguments.sizes,
                 "bytes of a message, e.g. 64, 4k, 1m; or several, each as likely: 64,64,16k")
      ->delimiter(',')
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::size_t{1}, load::kLongestMessage))
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "how long it is measured")
      ->check(common::from_to(0.1, kDay))
      ->capture_default_str();
  app.add_option("--warm-up", arguments.warm_up, "seconds before that")
      ->check(common::from_to(0, kDay))
      ->capture_default_str();
  app.add_option("--spin", arguments.spin, "microseconds for which it looks for answers before it sleeps")
      ->check(common::from_to(0, 1'000'000));
  app.add_option("--server", plan.server_pid, "the server's process, whose CPU time and memory are shown")
      ->check(common::from_to(1, std::numeric_limits<pid_t>::max()));
  app.add_flag("--json", arguments.json, "results as JSON");
}

int run(const Arguments& arguments, load::Plan& plan) {
  plan.server = server::parse_addresses(arguments.connect, server::Port::must_be_given);
  plan.sizes = arguments.sizes;
  plan.measure = load::Seconds(arguments.seconds);
  plan.warm_up = load::Seconds(arguments.warm_up);
  plan.wake_every = load::Seconds(arguments.wake_every);
  plan.spin = std::chrono::microseconds(arguments.spin);
  server::raise_file_limit();
  const common::EndSignals signals;
  signals.take();
  const load::Outcome outcome = load::Load(plan, signals).run();
  std::fputs((arguments.json ? load::json_of(plan, outcome) : load::text_of(plan, outcome)).c_str(), stdout);
  constexpr int kStoppedBySignal = 128;
  return signals.came() != 0 ? kStoppedBySignal + signals.came() : 0;
}

}  // namespace

int main(int argc, char** argv) {
  server::set_program("weir-load");
  CLI::App app{
      "Speaks to an echo server (weir-echo, or any other) over TCP and compares every byte that comes back.\n"
      "Exit status: 0 when all was right, 1 when a byte was not or the server failed, 2 for wrong usage.",
      "weir-load"};
  Arguments arguments;
  load::Plan plan;
  add_options(app, arguments, plan);
  return server::main_of(app, argc, argv, [&] { return run(arguments, plan); });
}
