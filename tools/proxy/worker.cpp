#include "worker.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "server/tcp.h"

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleWhenFinishing = 1s;
// An upstream that is there answers sooner: only then is it looked whether the client still waits for it.
constexpr auto kQuickConnect = 50ms;
// A client that has finished may want an answer, or may have left, which looks the same. A first packet that was lost
// is sent again after a second.
constexpr auto kLeaveTime = 2s;
constexpr auto kFirstPause = 20ms;
constexpr auto kLongestPause = 1s;
// A peer that takes nothing for so long shall not keep what is left of a connection whose other side is gone.
constexpr auto kLingerPatience = 3s;

}  // namespace

void Worker::on_accepted(Fd client) {
  Pair& pair = *pairs_.emplace_back(std::make_unique<Pair>(std::move(client)));
  pair.index = pairs_.size() - 1;
  pair.last_active = now();
  pair.dial = std::make_unique<Dial>(pair, upstream_, connect_patience_);
  watch(pair, kQuickConnect);
  pair.dial->go_on(backend(), now());
  follow(pair);
}

void Worker::on_connected(Outlet& outlet, int result) {
  auto& attempt = static_cast<Attempt&>(outlet);
  Pair& pair = attempt.pair;
  Fd upstream = pair.dial->take(backend(), attempt, result, now());
  if (upstream.get() >= 0) {
    pair.upstream().socket = std::move(upstream);
    pair.connecting = false;
    unwatch(pair);
    server::notice_vanished(pair.upstream().fd(), settings().patience);
    receiver().start(pair.client(), pair.client().fd());
    receiver().start(pair.upstream(), pair.upstream().fd());
  }
  follow(pair);
}

/// After a step of the pair's dial. REQUIRES: the caller does not use the pair any more.
void Worker::follow(Pair& pair) {
  if (!pair.dial->is_over()) {
    if (pair.connecting) look_by(pair, pair.dial->due());
    return;
  }
  const std::unique_ptr<Dial> dial = std::move(pair.dial);
  if (std::exchange(pair.connecting, false)) {
    unwatch(pair);
    pair.upstream().ended = pair.upstream().failed = true;
    if (!pair.was_cut) {
      note_turned_away();
      upstream_log_.say("upstream " + dial->failures() + " (the client was turned away)");
    }
  }
  settle(pair);
}

void Worker::on_received(Inflow& inflow, Received&& received) {
  Side& side = static_cast<Side&>(inflow);
  if (received.error == ETIMEDOUT) return note_silence(side);
  side.pair().last_active = now();
  side.pair().unanswered = &side == &side.pair().client();
  if (received.closed()) {
    side.ended = true;
    side.failed = side.failed || received.error != 0;
    settle(side.pair());
  } else if (!side.peer().failed) {
    push(side.peer(), std::move(received.data));
  }
}

/// No data has come by this side for as long as WEIR_DEADLINE allows; or the kernel has given up its peer.
void Worker::note_silence(Side& side) {
  Pair& pair = side.pair();
  if (!server::is_connected(side.fd())) {
    note_timed_out("its peer has vanished");
    side.ended = side.failed = true;
    settle(pair);
  } else if (is_silent(pair.client(), pair.last_active) && is_silent(pair.upstream(), pair.last_active)) {
    note_timed_out("nothing has moved for as long as WEIR_DEADLINE says");
    reset(pair);
  } else {
    receiver().start(side, side.fd());  // the other direction is at work
  }
}

void Worker::on_full(Outlet& outlet) {
  Side& from = static_cast<Side&>(outlet).peer();
  if (std::exchange(from.paused, true)) return;
  receiver().pause(from);
  poll_if_deaf(from);
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
  if (!pair.drained()) {
    poll_if_deaf(pair.client());
    poll_if_deaf(pair.upstream());
  } else if (pair.is_polled()) {
    cancel_polls(pair);
  } else if (pair.lingers()) {
    watch(pair, kFirstPause);
  } else {
    destroy(pair);
  }
}

void Worker::destroy(Pair& pair) {
  forget(pair.client());
  forget(pair.upstream());
  unwatch(pair);
  const std::size_t index = pair.index;
  std::swap(pairs_[index], pairs_.back());
  pairs_[index]->index = index;
  pairs_.pop_back();
}

/// Who is not received from just now, or has finished, may be gone all the same.
void Worker::poll_if_deaf(Side& side) {
  const bool deaf = side.paused || side.ended;
  if (!deaf || side.failed || side.hung_up || side.pair().connecting) return;
  if (!std::exchange(side.polled, true)) backend().poll(side, 0);
}

void Worker::cancel_polls(Pair& pair) {
  for (Side* side : {&pair.client(), &pair.upstream()}) {
    if (side->polled) backend().cancel(Operation::poll, side);
  }
}

/// A failure is not passed on at once: what came before it, may still be on its way.
void Worker::on_polled(Outlet& outlet, int result) {
  Side& side = static_cast<Side&>(outlet);
  Pair& pair = side.pair();
  side.polled = false;
  // A poll that fails by itself says nothing of the peer, and would fail again at once: a send, or the time limit on
  // sends, finds a peer that is gone.
  const bool failed = result > 0 && (result & POLLERR) != 0;
  side.hung_up = result < 0 || failed || (result & POLLHUP) != 0;  // no poll would tell of more
  if (result == -ECANCELED || pair.was_cut || pair.drained()) return settle(pair);
  if (!pair.connecting) {
    if (failed) watch(pair, kFirstPause);
    return poll_if_deaf(side);
  }
  if (side.hung_up) return give_up(pair);
  pair.watch->leave = std::min(pair.watch->leave, now() + kLeaveTime);
  look_by(pair, pair.watch->leave);
}

void Worker::watch(Pair& pair, Clock::duration first_pause) {
  if (pair.watch) return;
  pair.watch = std::make_unique<Watch>(Watch{.index = watched_.size(),
                                             .pause = first_pause,
                                             .due = now() + first_pause,
                                             .stalled_since = now(),
                                             .delivered = pair.delivered()});
  watched_.push_back(&pair);
  next_look_ = std::min(next_look_, pair.watch->due);
}

void Worker::look_by(Pair& pair, Clock::time_point time) {
  pair.watch->due = std::min(pair.watch->due, time);
  next_look_ = std::min(next_look_, time);
}

void Worker::unwatch(Pair& pair) {
  if (!pair.watch) return;
  const std::size_t index = pair.watch->index;
  watched_.back()->watch->index = index;
  std::swap(watched_[index], watched_.back());
  watched_.pop_back();
  pair.watch = nullptr;
}

/// What must happen by the clock: ends that wait for something, and the end of pairs when finishing.
void Worker::tick() {
  if (now() >= next_look_) {
    for (std::size_t i = watched_.size(); i > 0; --i) {
      if (watched_[i - 1]->watch->due <= now()) look_at(*watched_[i - 1]);
    }
    next_look_ = Clock::time_point::max();
    for (const Pair* pair : watched_) next_look_ = std::min(next_look_, pair->watch->due);
  }
  if (finishing()) finish_idle();
}

/// More and more seldom, as long as its peers take what is left.
void Worker::look_at(Pair& pair) {
  if (pair.connecting) return look_at_connecting(pair);
  Watch& watch = *pair.watch;
  const std::uint64_t delivered = pair.delivered();
  if (std::exchange(watch.delivered, delivered) != delivered) watch.stalled_since = now();
  watch.pause = std::min<Clock::duration>(2 * watch.pause, kLongestPause);
  watch.due = now() + watch.pause;
  now() - watch.stalled_since < kLingerPatience ? settle(pair) : reset(pair);
}

void Worker::look_at_connecting(Pair& pair) {
  if (pair.watch->leave <= now() || pair.was_cut) return give_up(pair);
  pair.watch->due = pair.watch->leave;
  if (!std::exchange(pair.client().polled, true)) backend().poll(pair.client(), POLLRDHUP);
  pair.dial->go_on(backend(), now());
  follow(pair);
}

/// The client has left while the upstream was being connected.
void Worker::give_up(Pair& pair) {
  if (!pair.was_cut) note_turned_away();
  reset(pair);
}

void Worker::end_stalled() {
  for (std::size_t i = pairs_.size(); i > 0; --i) {
    Pair& pair = *pairs_[i - 1];
    if (pair.was_cut || (!is_stalled(pair.client()) && !is_stalled(pair.upstream()))) continue;
    note_timed_out("a peer has taken nothing for as long as --send-timeout says");
    reset(pair);
  }
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
  reset(pair);
}

/// Ends both sides by a reset, whatever is left.
void Worker::reset(Pair& pair) {
  if (!pair.was_cut) {
    pair.cut(receiver());
    for (Side* side : {&pair.client(), &pair.upstream()}) {
      if (side->outbox.in_flight()) backend().cancel(Operation::send, side);
    }
    if (pair.dial) {
      pair.dial->stop(backend());
      return follow(pair);
    }
  }
  settle(pair);
}

}  // namespace weir::proxy
