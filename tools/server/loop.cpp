#include "loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::server {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostQueued = 16;  // units of an outbox, before its source is paused
constexpr auto kTick = 20ms;
constexpr std::uint32_t kLargeLoan = 32 * 1024;

}  // namespace

void send_without_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Loop::Loop(Pool& pool, const Settings& settings, int finish)
    : settings_(settings),
      backend_(make_backend(pool, *this)),
      units_(pool.options().bytes / Outbox::kUnit / settings.threads),
      listener_(listen_at(settings.listen)),
      finish_(finish) {}

void Loop::run() {
  backend_->watch(finish_);
  while (!finishing_ || !is_empty()) {
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
  while (!backend_->is_quiet()) {
    wait(receiver().turn());
    dispatch();
  }
}

/// Until there is something to dispatch, or something is due by the clock.
void Loop::wait(bool at_once) {
  const bool ticking = finishing_ || !accepting_ || needs_ticks();
  Clock::time_point until = receiver().next_deadline();
  if (at_once || ticking) until = std::min(until, Clock::now() + (at_once ? 0ms : kTick));
  const bool spins = !at_once && settings_.spin.count() > 0;
  backend_->wait(until, spins ? std::min(until, Clock::now() + settings_.spin) : Clock::time_point::min());
}

void Loop::dispatch() {
  now_ = Clock::now();
  backend_->dispatch();
}

/// Not after each dispatch: a tick may have thousands to look at.
void Loop::tick_in_time() {
  if (now_ < next_tick_) return;
  next_tick_ = now_ + kTick;
  tick();
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
  }
}

void Loop::on_connected(Outlet& /*outlet*/, int /*result*/) {}

void Loop::accept_connections() {
  if (now_ < accept_again_) return;
  accepting_ = true;
  backend_->accept(listener_.get());
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
  if (finishing_) listener_ = Fd{};
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

/// None may have more than is left for all: so the more have something, the less the next may have.
std::size_t Loop::outbox_limit() const {
  const std::size_t left = units_ / 4 - std::min(queued_, units_ / 4);
  return std::clamp<std::size_t>(left, 1, kMostQueued);
}

void Loop::count_queued(Outlet& outlet) {
  queued_ += outlet.outbox.size();
  queued_ -= std::exchange(outlet.counted, outlet.outbox.size());
}

void Loop::forget(Outlet& outlet) {
  if (outlet.listed) std::erase(to_send_, &outlet);
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
  listener_ = Fd{};
}

}  // namespace weir::server
