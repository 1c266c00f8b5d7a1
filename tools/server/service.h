#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loop.h"

namespace CLI {  // NOLINT(readability-identifier-naming): theirs
class App;
}

namespace weir::server {

/// What every server is told on its command line.
struct Arguments {
  std::string listen;
  std::string strategy;  ///< empty: that of WEIR_RECV
  unsigned threads = 1;
  bool pin = false;
  unsigned grace = 30;
  unsigned spin = 0;
  unsigned send_timeout = 300;
};

/// Of an option that is a time.
inline constexpr unsigned kMostSeconds = 86'400;

/// A server of loops, one a thread, which SIGINT and SIGTERM end: the first after the grace, a later one at once.
struct Service {
  const char* pool_name;
  std::string ready;  ///< said after the address that it listens at: ", relaying to..."
  const char* done;   ///< what it has done with its connections: "relayed"
  std::function<std::unique_ptr<Loop>(Pool&, const Settings&, int finish)> make_loop;
  /// Told where it listens, before there is a loop; throws Error when that is not right. Empty: all is.
  std::function<void(const std::vector<Address>&)> prepare{};
};

void add_options(CLI::App& app, Arguments& arguments);

/// Parses, runs `serve` and says what goes wrong. Returns the exit status.
int main_of(CLI::App& app, int argc, char** argv, const std::function<int()>& serve);

/// Listens, serves until a signal comes, and sums up. Returns the exit status. Throws Error.
int serve(const Arguments& arguments, const Service& service);

}  // namespace weir::server
