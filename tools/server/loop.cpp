#include "loop.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tcp.h"

namespace weir::server {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostQueued = 16;  // units of an outbox, before its source is paused
constexpr auto kTick = 20ms;
constexpr std::uint32_t kLargeLoan = 32 * 1024;

/// How often it is looked for those that take nothing: they are ended an eighth too late at most.
Clock::duration sweep_period(std::chrono::seconds patience) { return Clock::duration(patience) / 8; }

}  // namespace

Loop::Loop(Pool& pool, const Settings& settings, int finish)
    : settings_(settings),
      backend_(make_backend(pool, *this)),
      units_(pool.options().bytes / Outbox::kUnit / settings.threads),
      silence_limit_(pool.options().deadline_ms),
      listeners_(listen_at(settings.listen)),
      finish_(finish) {
  for (const Fd& each : listeners_) notice_vanished(each.get(), settings.patience);
  if (settings.patience.count() > 0) next_sweep_ = now_ + sweep_period(settings.patience);
}

void Loop::run() {
  backend_->watch(finish_);
  while (!finishing_ || accepting_ || !is_empty()) {  // who is accepted after the end would not be heard
    if (!accepting_ && !finishing_) accept_connections();
    send_listed();
    wait(receiver().turn());
    dispatch();
    tick_in_time();
  }
  end_requests();
}

/// Nothing of the receiver or of ours stays with the kernel when the memory goes.
void Loop::end_requests() {
  receiver().stop_all();
  while (backend_->has_inflight()) {
    wait(receiver().turn());
    dispatch();
  }
}

/// Until there is something to dispatch, or something is due by the clock.
void Loop::wait(bool at_once) {
  const bool ticking = finishing_ || !accepting_;
  Clock::time_point until = std::min(receiver().next_deadline(), std::max(next_tick(), earliest_tick_));
  if (!is_empty()) until = std::min(until, std::max(next_sweep_, earliest_tick_));
  if (at_once || ticking) until = std::min(until, Clock::now() + (at_once ? 0ms : kTick));
  const bool spins = !at_once && settings_.spin.count() > 0;
  backend_->wait(until, spins ? std::min(until, Clock::now() + settings_.spin) : Clock::time_point::min());
}

void Loop::dispatch() {
  now_ = Clock::now();
  backend_->dispatch();
  tell_full();
}

/// Not after each dispatch: a tick may have thousands to look at.
void Loop::tick_in_time() {
  if (now_ < earliest_tick_) return;
  earliest_tick_ = now_ + kTick;
  tick();
  if (now_ < next_sweep_) return;
  next_sweep_ = now_ + sweep_period(settings_.patience);
  end_stalled();
}

void Loop::on_ended(Operation operation, Outlet* outlet, int result) {
  switch (operation) {
    case Operation::accept:
      return note_accept(result);
    case Operation::finish:
      return start_finishing();
    case Operation::connect:
      return on_connected(*outlet, result);
    case Operation::send:
      return note_send(*outlet, result);
    case Operation::poll:
      return on_polled(*outlet, result);
  }
}

void Loop::on_connected(Outlet& /*outlet*/, int /*result*/) {}

void Loop::on_polled(Outlet& /*outlet*/, int /*result*/) {}

void Loop::accept_connections() {
  if (now_ < accept_again_) return;
  accepting_ = true;
  backend_->accept(listeners_);
}

void Loop::note_accept(int result) {
  if (result >= 0) {
    Fd client(result);
    send_without_delay(client.get());
    ++tally_.accepted;
    return on_accepted(std::move(client));
  }
  accepting_ = false;
  accept_again_ = now_ + kTick;
  if (finishing_) listeners_.clear();
  if (result == -ECANCELED) return;
  accept_log_.say(std::string("cannot accept a connection: ") + std::strerror(-result) +
                  "; if files are short, raise `ulimit -n`");
}

/// Large data is sent as soon as it has come: then its buffer is back for the next receive while it is still in the
/// cache, which is worth more than a system call. So is all data where buffers are scarce, or where time is.
bool Loop::sends_at_once(std::size_t bytes) const {
  return bytes >= kLargeLoan || queued_ >= units_ / 8 || settings_.spin.count() > 0;
}

void Loop::push(Outlet& outlet, Loan&& loan) {
  const bool at_once = outlet.outbox.empty() && sends_at_once(loan.size());
  outlet.outbox.push(std::move(loan));
  if (at_once && has_sent(outlet)) return;
  count_queued(outlet);
  if (queued_ > share()) {
    outlet.outbox.give_back();
    count_queued(outlet);
  }
  if (is_full(outlet) && !std::exchange(outlet.listed_full, true)) full_.push_back(&outlet);
  if (!std::exchange(outlet.listed, true)) to_send_.push_back(&outlet);
}

/// True when all of it went. What did not, and why, the next send finds out.
bool Loop::has_sent(Outlet& outlet) {
  outlet.outbox.begin_send();
  outlet.outbox.sent(outlet.try_send());
  return outlet.outbox.empty();
}

void Loop::note_send(Outlet& outlet, int result) {
  outlet.outbox.sent(result);
  if (result < 0) outlet.outbox.discard();
  count_queued(outlet);
  if (!outlet.outbox.empty() && !std::exchange(outlet.listed, true)) to_send_.push_back(&outlet);
  on_sent(outlet, result);
}

/// Most units of memory in an outbox before its source is to be paused. None may have more than is left of the share
/// of all: so the more have something, the less the next may have.
std::size_t Loop::outbox_limit() const {
  const std::size_t left = share() - std::min(queued_, share());
  return std::clamp<std::size_t>(left, 1, kMostQueued);
}

/// Sources are paused when all that has come was handed over: what a receiver keeps for those that are paused, nobody
/// counts.
void Loop::tell_full() {
  for (Outlet* outlet : std::exchange(full_, {})) {
    outlet->listed_full = false;
    if (is_full(*outlet)) on_full(*outlet);
  }
}

void Loop::count_queued(Outlet& outlet) {
  queued_ += outlet.outbox.lent();
  queued_ -= std::exchange(outlet.counted, outlet.outbox.lent());
}

void Loop::forget(Outlet& outlet) {
  if (outlet.listed) std::erase(to_send_, &outlet);
  if (outlet.listed_full) std::erase(full_, &outlet);
}

bool Loop::is_stalled(Outlet& outlet) const {
  return !outlet.outbox.empty() &&
         outlet.outbox.stalled_since(acknowledged(outlet.fd()), now_) <= now_ - settings_.patience;
}

/// An eighth is forgiven: an answer leaves a moment after its question has come, which the time is counted from.
bool Loop::is_silent(const Outlet& outlet, Clock::time_point last_active) const {
  const auto least = silence_limit_ * 7 / 8;
  return last_active <= now_ - least && since_last_send(outlet.fd()) >= least;
}

void Loop::note_timed_out(const char* why) {
  ++tally_.timed_out;
  timeout_log_.say(std::string("a connection was reset: ") + why);
}

void Loop::send_listed() {
  for (Outlet* outlet : to_send_) {
    outlet->listed = false;
    if (outlet->outbox.in_flight() || outlet->outbox.empty()) continue;
    backend_->send(*outlet);
  }
  to_send_.clear();
}

void Loop::start_finishing() {
  finishing_ = true;
  deadline_ = now_ + settings_.grace;
  if (accepting_) return backend_->cancel(Operation::accept, nullptr);
  listeners_.clear();
}

}  // namespace weir::server
