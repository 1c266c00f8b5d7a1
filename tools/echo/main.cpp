// weir-echo: sends back what it receives, by any of the receive strategies.

#include <CLI/CLI.hpp>

#include "echo.h"
#include "server/service.h"

int main(int argc, char** argv) {
  using namespace weir;
  server::set_program("weir-echo");
  CLI::App app{
      "Sends back all that it receives over TCP, through a pool of I/O buffers, on io_uring or epoll.\n"
      "Look into it with `weir stat`; tune it with WEIR_* variables (`weir env` lists them).",
      "weir-echo"};
  server::Arguments arguments;
  server::add_options(app, arguments);
  return server::main_of(app, argc, argv, [&] {
    const auto make = [](Pool& pool, const server::Settings& settings, int finish) {
      return std::make_unique<echo::Echo>(pool, settings, finish);
    };
    return server::serve(arguments, {"echo", "", "served", make});
  });
}
