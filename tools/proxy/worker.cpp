#include "worker.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleWhenFinishing = 1s;

std::string text_of(int error) { return std::strerror(error); }

Fd make_upstream_socket(const Address& address) {
  return Fd(
      socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));  // a non-blocking one would not wait to be sent to
}

}  // namespace

void Worker::on_accepted(Fd client) {
  Fd upstream = make_upstream_socket(upstream_);
  if (upstream.get() < 0) {
    note_turned_away();
    upstream_log_.say("cannot make a socket for the upstream: " + text_of(errno) + "; raise `ulimit -n`");
    return;
  }
  server::send_without_delay(upstream.get());
  auto& pair = pairs_.emplace_back(std::make_unique<Pair>(std::move(client), std::move(upstream)));
  pair->index = pairs_.size() - 1;
  pair->last_active = now();
  backend().connect(pair->upstream(), upstream_);
}

void Worker::on_connected(Outlet& outlet, int result) {
  Pair& pair = static_cast<Side&>(outlet).pair();
  pair.connecting = false;
  if (pair.was_cut) return settle(pair);
  if (result == 0) {
    receiver().start(pair.client(), pair.client().fd());
    receiver().start(pair.upstream(), pair.upstream().fd());
    return;
  }
  note_turned_away();
  upstream_log_.say("upstream " + upstream_.text + ": " + text_of(-result) +
                    "; the client was turned away: is the server running there?");
  pair.upstream().ended = pair.upstream().failed = true;
  settle(pair);
}

void Worker::on_received(Inflow& inflow, Received&& received) {
  Side& side = static_cast<Side&>(inflow);
  Side& to = side.peer();
  side.pair().last_active = now();
  side.pair().unanswered = &side == &side.pair().client();
  if (received.closed()) {
    side.ended = true;
    side.failed = side.failed || received.error != 0;
    settle(side.pair());
  } else if (!to.failed) {
    push(to, std::move(received.data));
    if (side.paused || !is_full(to)) return;
    side.paused = true;
    receiver().pause(side);
  }
}

void Worker::on_sent(Outlet& outlet, int result) {
  Side& side = static_cast<Side&>(outlet);
  Side& from = side.peer();
  side.pair().last_active = now();
  if (result < 0) side.failed = true;
  if (from.paused && has_room(side)) {
    from.paused = false;
    receiver().resume(from);
  }
  settle(side.pair());
}

void Worker::settle(Pair& pair) {
  pair.settle(receiver());
  count_queued(pair.client());  // a side that failed has dropped what was in its outbox
  count_queued(pair.upstream());
  if (!pair.drained()) return;
  if (!pair.lingers()) {
    destroy(pair);
  } else if (!std::exchange(pair.listed_as_lingering, true)) {
    lingering_.push_back(&pair);
  }
}

void Worker::destroy(Pair& pair) {
  forget(pair.client());
  forget(pair.upstream());
  if (pair.listed_as_lingering) std::erase(lingering_, &pair);
  const std::size_t index = pair.index;
  std::swap(pairs_[index], pairs_.back());
  pairs_[index]->index = index;
  pairs_.pop_back();
}

/// What must happen by the clock: late resets, and the end of pairs when finishing.
void Worker::tick() {
  for (Pair* pair : std::exchange(lingering_, {})) {
    pair->listed_as_lingering = false;
    settle(*pair);
  }
  if (finishing()) finish_idle();
}

void Worker::finish_idle() {
  for (std::size_t i = pairs_.size(); i > 0; --i) {
    Pair& pair = *pairs_[i - 1];
    if (is_past_grace()) {
      cut(pair);
    } else if (pair.idle_since(now() - kIdleWhenFinishing)) {
      pair.finish(receiver());
      settle(pair);
    }
  }
}

void Worker::cut(Pair& pair) {
  if (pair.was_cut) return;
  note_cut();
  pair.cut(receiver());
  if (pair.connecting) backend().cancel(Operation::connect, &pair.upstream());
  for (Side* side : {&pair.client(), &pair.upstream()}) {
    if (side->outbox.in_flight()) backend().cancel(Operation::send, side);
  }
  settle(pair);
}

}  // namespace weir::proxy
