#include "receive/idle_timer.h"

#include <algorithm>

namespace weir::detail {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStuck{10'000};

/// A sixteenth of the shortest time that is watched.
milliseconds tick_of(const Options& options) {
  std::uint32_t shortest = kStuck.count();
  for (const std::uint32_t each : {options.idle_ms, options.deadline_ms}) {
    if (each > 0) shortest = std::min(shortest, each);
  }
  return milliseconds(std::max(1U, shortest / 16));
}

}  // namespace

IdleTimer::IdleTimer(const Options& options)
    : options_(options), tick_(tick_of(options)), now_(os::now()), wheel_(tick_, now_) {}

os::Time IdleTimer::now() noexcept {
  if (is_old_) now_ = os::now();
  is_old_ = false;
  return now_;
}

/// They are looked for only where it matters: deadlines leave room for a batch of less than a tick.
void IdleTimer::end_batch(std::span<Connection> connections) noexcept {
  const bool has_begun = !is_old_;
  const os::Time begin = now_;
  call_old();
  if (!has_begun || now() - begin < tick_) return;
  for (Connection& each : connections) {
    if (each.active == begin) each.active = now_;
  }
}

os::Time IdleTimer::late_at(const Connection& connection) const noexcept {
  if (options_.deadline_ms == 0) return os::Time::max();
  return connection.active + milliseconds(options_.deadline_ms) + tick_;
}

/// When the connection's request is to be cancelled, if no data comes before.
os::Time IdleTimer::lapses_at(const Connection& connection) const noexcept {
  os::Time at = late_at(connection);
  if (options_.idle_ms > 0 && connection.can_fall_silent())
    at = std::min(at, connection.active + milliseconds(options_.idle_ms));
  return at;
}

void IdleTimer::start(std::uint32_t slot, const Connection& connection) {
  const os::Time at = lapses_at(connection);
  if (at == os::Time::max()) return wheel_.remove(slot);
  in_use_ = true;
  wheel_.set_by_then(slot, at);
}

void IdleTimer::start_cancel(std::uint32_t slot) {
  in_use_ = true;
  wheel_.set(slot, now() + kStuck);
}

Lapse IdleTimer::check(const Connection& connection) noexcept {
  if (now() < lapses_at(connection)) return Lapse::none;
  return now() >= late_at(connection) ? Lapse::deadline : Lapse::idle;
}

}  // namespace weir::detail
