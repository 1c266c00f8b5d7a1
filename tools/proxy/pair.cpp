#include "pair.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "server/tcp.h"

namespace weir::proxy {
namespace {

/// True when the kernel has bytes of which it does not know yet that they arrived. Those of a connection that has
/// failed never will.
bool has_unsent(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 && server::is_connected(fd);
}

}  // namespace

Side& Side::peer() const { return this == &pair_.client() ? pair_.upstream() : pair_.client(); }

Pair::~Pair() {
  for (const Side* side : {&client_, &upstream_}) {
    if (was_cut || (side->peer().failed && !side->failed)) server::reset_on_close(side->fd());
  }
}

void Pair::settle(Receiver& receiver) {
  pass_on_end(client_, receiver);
  pass_on_end(upstream_, receiver);
}

void Pair::pass_on_end(Side& from, Receiver& receiver) {
  Side& to = from.peer();
  if (from.failed) {  // nobody takes what the other side sends
    receiver.stop(to);
    to.ended = true;
    from.outbox.discard();
  } else if (from.ended && to.outbox.empty() && !to.shut) {
    shutdown(to.fd(), SHUT_WR);
    to.shut = true;
  }
}

bool Pair::drained() const {
  const auto done = [](const Side& side) { return side.ended && side.outbox.empty(); };
  return !connecting && !dial && done(client_) && done(upstream_);
}

bool Pair::lingers() const { return client_.failed != upstream_.failed && has_unsent(survivor().fd()); }

std::uint64_t Pair::delivered() const {
  return server::acknowledged(client_.fd()) + server::acknowledged(upstream_.fd());
}

bool Pair::idle_since(Clock::time_point then) const {
  const bool quiet = last_active < then && client_.outbox.empty() && upstream_.outbox.empty();
  return quiet && !connecting && !unanswered;
}

void Pair::finish(Receiver& receiver) {
  for (Side* side : {&client_, &upstream_}) {
    receiver.stop(*side);
    side->ended = true;
  }
  settle(receiver);
}

void Pair::cut(Receiver& receiver) {
  was_cut = true;
  for (Side* side : {&client_, &upstream_}) {
    receiver.stop(*side);
    side->ended = side->failed = true;
  }
  settle(receiver);
}

}  // namespace weir::proxy
