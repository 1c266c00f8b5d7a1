#include <fmt/format.h>
#include <weir/error.h>

#include <cstdio>
#include <deque>
#include <utility>
#include <vector>

#include "borrows.h"
#include "commands.h"
#include "common/end_signals.h"
#include "common/streams.h"
#include "failure.h"
#include "http_server.h"
#include "metrics.h"
#include "server/listener.h"

namespace weir::tool {
namespace {

/// Of the process as it is now: it is looked for anew each time.
std::string read_metrics(const Target& target, MetricFormat format) {
  const OpenTarget open = open_target(target);
  std::vector<MetricFamily> families = metrics_of(look_at(open));
  families.push_back(oldest_loans_of(read_borrows(open, {})));
  return metrics_text(families, format);
}

const char* content_type(MetricFormat format) {
  return format == MetricFormat::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                             : "text/plain; version=0.0.4; charset=utf-8";
}

bool asks_for_openmetrics(const HttpRequest& request) {
  return request.accept.find("application/openmetrics-text") != std::string_view::npos;
}

HttpReply scrape(const Target& target, MetricFormat format) {
  constexpr unsigned kUnavailable = 503;
  try {
    return {.type = content_type(format), .text = read_metrics(target, format)};
  } catch (const Failure& failure) {
    return {.status = kUnavailable, .text = std::string(failure.what()) + "\n"};
  }
}

HttpReply answer(const Target& target, MetricFormat format, const HttpRequest& request) {
  constexpr unsigned kNotFound = 404;
  if (request.path == "/metrics")
    return scrape(target, asks_for_openmetrics(request) ? MetricFormat::openmetrics : format);
  return {.status = request.path == "/" ? 200 : kNotFound, .text = "weir export: the metrics are at /metrics\n"};
}

std::vector<server::Fd> listen_at(const std::string& text) {
  std::vector<server::Address> addresses = server::parse_addresses(text, server::Port::may_be_chosen);
  try {
    const std::vector<server::Fd> claims = server::claim_port(addresses);
    std::vector<server::Fd> listening = server::listen_at(addresses);
    std::string urls;
    for (const server::Address& each : addresses)
      urls += fmt::format("{}http://{}/metrics", urls.empty() ? "" : " and ", each.text);
    common::write_line("weir: metrics at " + urls);
    return listening;
  } catch (const Error& error) {
    throw Failure(error.what());
  }
}

}  // namespace

void run_export(const Target& target, bool openmetrics, const std::string& listen) {
  const MetricFormat format = openmetrics ? MetricFormat::openmetrics : MetricFormat::prometheus;
  if (listen.empty()) {
    fmt::print("{}", read_metrics(target, format));
    return;
  }
  const common::EndSignals signals;  // before there is a thread
  std::deque<HttpServer> servers;
  for (server::Fd& each : listen_at(listen)) {
    servers.emplace_back(std::move(each), [&](const HttpRequest& request) { return answer(target, format, request); });
  }
  signals.wait();
}

}  // namespace weir::tool
