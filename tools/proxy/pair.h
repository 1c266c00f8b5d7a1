#pragma once

#include <weir/receiver.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dial.h"
#include "server/loop.h"

namespace weir::proxy {

using server::Clock;
using server::Fd;

class Pair;

/// A pair that is being connected or has to end soon: when to look at it again, and what was seen.
struct Watch {
  std::size_t index = 0;  ///< in the worker's list
  Clock::duration pause{};
  Clock::time_point due{};
  Clock::time_point stalled_since{};
  std::uint64_t delivered = 0;
  /// The client has finished while it was being connected: when that is taken for a leave.
  Clock::time_point leave = Clock::time_point::max();
};

/// One of the two connections of a pair: what comes in by it, and what waits to go out by it.
class Side : public Inflow, public server::Outlet {
 public:
  Side(Pair& pair, Fd file) : Outlet(std::move(file)), pair_(pair) {}
  Pair& pair() const { return pair_; }
  Side& peer() const;

  bool ended = false;    ///< nothing more comes in
  bool failed = false;   ///< it ended by an error, or cannot be written to
  bool shut = false;     ///< we have said that nothing more goes out
  bool paused = false;   ///< the peer's outbox is full
  bool polled = false;   ///< a poll tells of its end, for it is not received from
  bool hung_up = false;  ///< a poll has told

 private:
  Pair& pair_;
};

/// A client's connection and the one to the upstream that belongs to it. Bytes are in the outbox of the side that they
/// leave by. An end of one side is passed on after the bytes before it: a finish as a finish, a failure as a reset.
class Pair {
 public:
  explicit Pair(Fd client) : client_(*this, std::move(client)), upstream_(*this, Fd{}) {}
  Side& client() { return client_; }
  Side& upstream() { return upstream_; }

  /// A side that outlives a failed one is reset, so that a cut answer never looks whole.
  ~Pair();
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  /// Passes ends on, as far as the outboxes are empty. Call it after each change of a side.
  void settle(Receiver& receiver);
  /// True when both directions have ended, nothing is left to send and the kernel has no request of the pair but
  /// receives and polls: without polls it can be destroyed, unless it lingers.
  bool drained() const;
  bool is_polled() const { return client_.polled || upstream_.polled; }
  /// True when the kernel still holds bytes for the side that gets a reset: ask again soon. REQUIRES: drained().
  bool lingers() const;
  /// Bytes that have reached both peers: whether it grows tells whether anything moves.
  std::uint64_t delivered() const;
  /// True when nothing has moved since, and nobody waits for an answer.
  bool idle_since(Clock::time_point then) const;
  /// Ends an idle pair as if both peers had finished.
  void finish(Receiver& receiver);
  /// Ends it with a reset on both sides, whatever is left; sends in flight are the caller's to cancel.
  void cut(Receiver& receiver);

  Clock::time_point last_active{};
  std::size_t index = 0;         ///< in the worker's list
  std::unique_ptr<Watch> watch;  ///< while it is watched
  std::unique_ptr<Dial> dial;    ///< as long as it has attempts
  bool connecting = true;        ///< and none of them has won
  bool was_cut = false;
  bool unanswered = false;  ///< the client had the last word

 private:
  void pass_on_end(Side& from, Receiver& receiver);
  /// REQUIRES: one side has failed and the other has not.
  const Side& survivor() const { return client_.failed ? upstream_ : client_; }

  Side client_;
  Side upstream_;
};

}  // namespace weir::proxy
