// weir-proxy: relays TCP connections to an upstream, all bytes through one pool of I/O buffers.

#include <CLI/CLI.hpp>

#include "common/numbers.h"
#include "server/service.h"
#include "upstream.h"
#include "worker.h"

namespace {

/// A name is shown with the addresses that it has just now.
std::string relayed_to(const std::string& text, const weir::proxy::Upstream& upstream) {
  const std::string addresses = weir::server::text_of(*upstream.addresses());
  return upstream.is_name() ? weir::common::shown(text) + " at " + addresses : addresses;
}

}  // namespace

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
  app.add_option("--upstream", upstream_text,
                 "where to relay to, e.g. 127.0.0.1:6379; all addresses of a name are tried")
      ->required();
  unsigned connect_timeout = 10;
  app.add_option("--connect-timeout", connect_timeout,
                 "seconds after which an upstream that does not answer is not to be had (0: when the kernel thinks so)")
      ->check(common::from_to(0, server::kMostSeconds))
      ->capture_default_str();
  return server::main_of(app, argc, argv, [&] {
    proxy::Upstream upstream(upstream_text);
    const auto make = [&](Pool& pool, const server::Settings& settings, int finish) {
      return std::make_unique<proxy::Worker>(pool, settings, upstream, std::chrono::seconds(connect_timeout), finish);
    };
    return server::serve(arguments, {.pool_name = "proxy",
                                     .ready = ", relaying to " + relayed_to(upstream_text, upstream),
                                     .done = "relayed",
                                     .make_loop = make,
                                     .prepare = [&](const auto& listening) { upstream.refuse_own(listening); }});
  });
}
