// bench-echo: small echo servers, each as one would write it without weir, to compare weir-echo with.

#include <fcntl.h>
#include <sys/socket.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <string>

#include "kinds.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/service.h"

namespace {

using namespace bench;

constexpr std::array kKinds{
    Kind{"epoll_shared", "epoll, one buffer of 64 KiB for all connections", serve_epoll_shared},
    Kind{"epoll_16k", "epoll, 16 KiB a connection", serve_epoll_16k},
    Kind{"single_shot", "io_uring, receives into 16 KiB a connection", serve_single_shot},
    Kind{"poll_receive", "io_uring, a poll, then a receive into 16 KiB that are freed when sent", serve_poll_receive},
    Kind{"ring_4k", "io_uring, multishot receives from one ring of buffers of 4 KiB", serve_ring_4k},
    Kind{"ring_16k", "the same with 16 KiB", serve_ring_16k},
    Kind{"incremental", "the same with 256 KiB, filled piece by piece (Linux 6.12)", serve_incremental},
};

struct Arguments {
  std::string kind;
  std::string listen;
  std::size_t pool_bytes = std::size_t{16} << 20;
};

void add_options(CLI::App& app, Arguments& arguments) {
  std::string kinds = "which server:";
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    kinds += std::string("\n") + kind.name + ": " + kind.about;
    names.emplace_back(kind.name);
  }
  app.add_option("kind", arguments.kind, kinds)->required()->check(CLI::IsMember(names));
  app.add_option("--listen", arguments.listen, "where to listen, e.g. 127.0.0.1:7000; port 0: any")->required();
  app.add_option("--pool", arguments.pool_bytes, "bytes of the buffers of a ring, e.g. 256k")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::size_t{256} << 10, std::size_t{1} << 30))
      ->capture_default_str();
}

int serve(const Arguments& arguments) {
  using namespace weir;
  std::vector<server::Address> addresses = server::parse_addresses(arguments.listen, server::Port::may_be_chosen);
  addresses.erase(addresses.begin() + 1, addresses.end());  // one is enough to compare by
  const std::vector<server::Fd> claims = server::claim_port(addresses);
  const std::vector<server::Fd> listeners = server::listen_at(addresses);
  const server::Fd& listener = listeners.front();
  if (fcntl(listener.get(), F_SETFL, O_NONBLOCK) != 0) throw Error(errno, "the listening socket cannot be set up");
  server::raise_file_limit();
  server::say("listening on " + server::text_of(addresses));
  for (const Kind& kind : kKinds) {
    if (arguments.kind == kind.name) kind.serve({listener.get(), arguments.pool_bytes});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  weir::server::set_program("bench-echo");
  CLI::App app{"Sends back what it receives, in one thread, until it is killed.", "bench-echo"};
  Arguments arguments;
  add_options(app, arguments);
  return weir::server::main_of(app, argc, argv, [&] { return serve(arguments); });
}
