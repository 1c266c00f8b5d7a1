#include "stats/alert_limit.h"

#include "base/fatal.h"
#include "os/clock.h"

namespace weir::detail {
namespace {

constexpr os::Time::duration kPause = std::chrono::seconds(10);

AlertSink sink_of(const Options& options) {
  if (options.on_alert) return options.on_alert;
  switch (options.alerts) {
    case Alerts::standard_error:
      return alert_to_stderr;
    case Alerts::journal:
      return alert_to_journal;
    case Alerts::off:
      break;
  }
  return {};
}

}  // namespace

AlertLimit::AlertLimit(const Options& options) : options_(options), sink_(sink_of(options)) {}

bool AlertLimit::is_due(AlertKind kind) noexcept {
  if (!sink_) return false;
  Limit& limit = this->limit(kind);
  const os::Time::rep now = os::now().time_since_epoch().count();
  std::int64_t next = limit.next.load(std::memory_order_relaxed);
  if (now >= next && limit.next.compare_exchange_strong(next, now + kPause.count(), std::memory_order_relaxed))
    return true;
  limit.suppressed.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void AlertLimit::send(AlertKind kind, const std::string& message) {
  sink_({.kind = kind,
         .pool = options_.name,
         .message = message,
         .suppressed = limit(kind).suppressed.exchange(0, std::memory_order_relaxed)});
}

void AlertLimit::say_thrown(AlertKind kind, const char* what) const noexcept {
  base::warn("the alert '%s' of pool '%s' was lost: its sink threw: %s", name_of(kind), options_.name.c_str(), what);
}

}  // namespace weir::detail
