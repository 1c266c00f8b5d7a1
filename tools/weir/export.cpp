#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "borrows.h"
#include "commands.h"
#include "failure.h"
#include "metrics.h"
#include "server/address.h"

namespace weir::tool {
namespace {

constexpr std::size_t kScrapersAtOnce = 4;
constexpr auto kPlain = "text/plain; charset=utf-8";

/// Of the process as it is now: it is looked for anew each time.
std::string read_metrics(const Target& target, MetricFormat format) {
  const OpenTarget open = open_target(target);
  std::vector<MetricFamily> families = metrics_of(take_snapshot(*open.reader));
  families.push_back(oldest_loans_of(read_borrows(open, {})));
  return metrics_text(families, format);
}

const char* content_type(MetricFormat format) {
  return format == MetricFormat::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                             : "text/plain; version=0.0.4; charset=utf-8";
}

bool asks_for_openmetrics(const httplib::Request& request) {
  return request.get_header_value("Accept").find("application/openmetrics-text") != std::string::npos;
}

void answer(const Target& target, MetricFormat format, httplib::Response& response) {
  constexpr int kUnavailable = 503;
  try {
    response.set_content(read_metrics(target, format), content_type(format));
  } catch (const Failure& failure) {
    response.status = kUnavailable;
    response.set_content(std::string(failure.what()) + "\n", kPlain);
  }
}

/// What is asked otherwise than by GET or HEAD is refused at once.
httplib::Server::HandlerResponse refuse_writes(const httplib::Request& request, httplib::Response& response) {
  constexpr int kNotAllowed = 405;
  if (request.method == "GET" || request.method == "HEAD") return httplib::Server::HandlerResponse::Unhandled;
  response.status = kNotAllowed;
  response.set_header("Allow", "GET, HEAD");
  response.set_content("only GET is answered, at /metrics\n", kPlain);
  return httplib::Server::HandlerResponse::Handled;
}

/// One that stops at SIGINT or SIGTERM.
class Exporter {
 public:
  explicit Exporter(const std::string& address) : address_(address) {
    sigemptyset(&ends_);
    sigaddset(&ends_, SIGINT);
    sigaddset(&ends_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends_, nullptr);
    server_.set_socket_options([](int fd) {  // not SO_REUSEPORT, by which two could have the same port
      const int yes = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.new_task_queue = [] { return new httplib::ThreadPool(kScrapersAtOnce); };
  }

  httplib::Server& server() { return server_; }

  /// Returns when it was stopped.
  void run() {
    bind();
    std::jthread stopper([this](const std::stop_token& ended) {
      while (!server_.is_running() && !ended.stop_requested()) std::this_thread::yield();
      int signal = 0;
      sigwait(&ends_, &signal);
      server_.stop();
    });
    const bool stopped = server_.listen_after_bind();
    stopper.request_stop();
    pthread_kill(stopper.native_handle(), SIGINT);
    if (!stopped) throw Failure(fmt::format("cannot go on listening at {}", address_));
  }

 private:
  void bind() {
    const server::Address address = server::parse_address(address_, server::Port::may_be_chosen);
    const std::size_t colon = address.text.rfind(':');
    std::string host = address.text.substr(0, colon);
    int port = std::stoi(address.text.substr(colon + 1));
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    const bool bound = port == 0 ? (port = server_.bind_to_any_port(host)) > 0 : server_.bind_to_port(host, port);
    if (!bound)
      throw Failure(fmt::format("cannot listen at {}: is the port taken, or the address not here?", address_));
    fmt::print(stderr, "weir: metrics at http://{}:{}/metrics\n", address.text.substr(0, colon), port);
  }

  const std::string address_;
  sigset_t ends_{};
  httplib::Server server_;
};

}  // namespace

void run_export(const Target& target, bool openmetrics, const std::string& listen) {
  const MetricFormat format = openmetrics ? MetricFormat::openmetrics : MetricFormat::prometheus;
  if (listen.empty()) {
    fmt::print("{}", read_metrics(target, format));
    return;
  }
  Exporter exporter(listen);
  exporter.server().Get("/metrics", [&](const httplib::Request& request, httplib::Response& response) {
    answer(target, asks_for_openmetrics(request) ? MetricFormat::openmetrics : format, response);
  });
  exporter.server().Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("weir export: the metrics are at /metrics\n", kPlain);
  });
  exporter.server().set_pre_routing_handler(refuse_writes);
  exporter.run();
}

}  // namespace weir::tool
