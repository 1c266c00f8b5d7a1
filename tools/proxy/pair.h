#pragma once

#include <weir/receiver.h>

#include <chrono>
#include <cstddef>

#include "server/loop.h"

namespace weir::proxy {

using server::Clock;
using server::Fd;

class Pair;

/// One of the two connections of a pair: what comes in by it, and what waits to go out by it.
class Side : public Inflow, public server::Outlet {
 public:
  Side(Pair& pair, Fd file) : Outlet(std::move(file)), pair_(pair) {}
  Pair& pair() const { return pair_; }
  Side& peer() const;

  bool ended = false;   ///< nothing more comes in
  bool failed = false;  ///< it ended by an error, or cannot be written to
  bool shut = false;    ///< we have said that nothing more goes out
  bool paused = false;  ///< the peer's outbox is full

 private:
  Pair& pair_;
};

/// A client's connection and the one to the upstream that belongs to it. Bytes are in the outbox of the side that they
/// leave by. An end of one side is passed on after the bytes before it: a finish as a finish, a failure as a reset.
class Pair {
 public:
  Pair(Fd client, Fd upstream) : client_(*this, std::move(client)), upstream_(*this, std::move(upstream)) {}
  Side& client() { return client_; }
  Side& upstream() { return upstream_; }

  /// A side that outlives a failed one is reset, so that a cut answer never looks whole.
  ~Pair();
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  /// Passes ends on, as far as the outboxes are empty. Call it after each change of a side.
  void settle(Receiver& receiver);
  /// True when both directions have ended, nothing is left to send and the kernel has no request of the pair but
  /// receives: it can be destroyed, unless it lingers.
  bool drained() const;
  /// True when the kernel still holds bytes for the side that gets a reset: ask again soon. REQUIRES: drained().
  bool lingers() const;
  /// True when nothing has moved since, and nobody waits for an answer.
  bool idle_since(Clock::time_point then) const;
  /// Ends an idle pair as if both peers had finished.
  void finish(Receiver& receiver);
  /// Ends it with a reset on both sides, whatever is left; sends in flight are the caller's to cancel.
  void cut(Receiver& receiver);

  Clock::time_point last_active{};
  std::size_t index = 0;  ///< in the worker's list
  bool listed_as_lingering = false;
  bool connecting = true;
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
