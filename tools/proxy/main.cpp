// weir-proxy: relays TCP connections to an upstream, all bytes through one pool of I/O buffers.

#include <CLI/CLI.hpp>

#include "common/numbers.h"
#include "server/service.h"
#include "worker.h"

int main(int argc, char** argv) {
  using namespace weir;
  server::set_program("weir-proxy");
  CLI::App app{
      "Relays TCP connections to an upstream through a pool of I/O buffers, on io_uring or epoll.\n"
      "Look into it with `weir stat`; tune it with WEIR_* variables (`weir env` lists them).",
      "weir-proxy"};
  server::Arguments arguments;
  std::string upstream_text;
  server::add_options(app, arguments);
  app.add_option("--upstream", upstream_text, "where to relay to, e.g. 127.0.0.1:6379")->required();
  unsigned connect_timeout = 10;
  app.add_option("--connect-timeout", connect_timeout,
                 "seconds after which an upstream that does not answer is not to be had (0: when the kernel thinks so)")
      ->check(common::from_to(0, server::kMostSeconds))
      ->capture_default_str();
  return server::main_of(app, argc, argv, [&] {
    const server::Address upstream = server::parse_addresses(upstream_text, server::Port::must_be_given).front();
    const auto make = [&](Pool& pool, const server::Settings& settings, int finish) {
      return std::make_unique<proxy::Worker>(pool, settings, upstream, std::chrono::seconds(connect_timeout), finish);
    };
    return server::serve(arguments, {"proxy", ", relaying to " + upstream.text, "relayed", make});
  });
}
