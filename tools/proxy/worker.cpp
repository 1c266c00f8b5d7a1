#include "worker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kOperationMask = 7;  // pointers to pairs and sides are aligned to 8
constexpr std::size_t kMostQueued = 16;      // buffers in an outbox, before its source is paused: one message
constexpr std::size_t kLeastQueued = 2;
constexpr auto kIdleWhenFinishing = 1s;
constexpr auto kTick = 20ms;

std::string text_of(int error) { return std::strerror(error); }

Fd make_upstream_socket(const Address& address) {
  return Fd(
      socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));  // a non-blocking one would not wait to be sent to
}

void send_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Worker::Worker(Pool& pool, const Settings& settings, int finish)
    : settings_(settings),
      buffers_(pool.options().bytes / pool.options().receive_bytes / settings.threads),
      listener_(listen_at(settings.listen)),
      finish_(finish) {
  receiver_.emplace(pool, ring_.get());
}

std::uint64_t Worker::user_data(Operation operation, const void* subject) {
  return reinterpret_cast<std::uintptr_t>(subject) | static_cast<std::uint64_t>(operation);
}

template <typename Prepare>
void Worker::request(Operation operation, const void* subject, Prepare prepare) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
  while (sqe == nullptr) {
    io_uring_submit(&ring_.get());
    sqe = io_uring_get_sqe(&ring_.get());
  }
  prepare(sqe);
  io_uring_sqe_set_data64(sqe, user_data(operation, subject));
  ++requests_;
}

void Worker::arm_accept() {
  request(Operation::accept, nullptr, [&](io_uring_sqe* sqe) {
    io_uring_prep_multishot_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  });
  accepting_ = true;
}

void Worker::watch_finish() {
  request(Operation::finish, nullptr, [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, finish_, POLLIN); });
}

void Worker::cancel(Operation operation, const void* subject) {
  request(Operation::cancel, nullptr,
          [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, user_data(operation, subject), 0); });
}

void Worker::run() {
  arm_accept();
  watch_finish();
  while (!finishing_ || !pairs_.empty()) {
    send_listed();
    wait(receiver_->turn());
    reap();
    tick();
  }
  end_requests();
}

/// Nothing of the receiver or of ours stays with the kernel when the memory goes.
void Worker::end_requests() {
  receiver_->stop_all();
  while (!receiver_->quiet() || requests_ > 0) {
    wait(receiver_->turn());
    reap();
  }
}

void Worker::wait(bool at_once) {
  const bool ticking = finishing_ || !accepting_ || !lingering_.empty();
  __kernel_timespec limit{.tv_sec = 0, .tv_nsec = at_once ? 0 : std::chrono::nanoseconds(kTick).count()};
  io_uring_cqe* cqe = nullptr;
  const int error =
      io_uring_submit_and_wait_timeout(&ring_.get(), &cqe, 1, at_once || ticking ? &limit : nullptr, nullptr);
  if (error < 0 && error != -ETIME && error != -EINTR && error != -EBUSY && error != -EAGAIN) {
    throw Error(-error, "the io_uring cannot be waited for");
  }
}

void Worker::reap() {
  now_ = Clock::now();
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_.get(), head, cqe) {
    handle(*cqe);
    ++seen;
  }
  io_uring_cq_advance(&ring_.get(), seen);
}

void Worker::handle(const io_uring_cqe& cqe) {
  if (receiver_->owns(cqe)) {
    receiver_->complete(
        cqe, [&](Inflow& inflow, Received received) { on_received(static_cast<Side&>(inflow), std::move(received)); });
    return;
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --requests_;
  void* const subject = reinterpret_cast<void*>(cqe.user_data & ~kOperationMask);
  switch (static_cast<Operation>(cqe.user_data & kOperationMask)) {
    case Operation::accept:
      return on_accept(cqe);
    case Operation::connect:
      return on_connect(*static_cast<Pair*>(subject), cqe.res);
    case Operation::send:
      return on_sent(*static_cast<Side*>(subject), cqe.res);
    case Operation::finish:
      return start_finishing();
    case Operation::cancel:
      return;
  }
}

void Worker::on_accept(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) accepting_ = false;
  if (!accepting_ && finishing_) listener_ = Fd{};
  if (cqe.res == -ECANCELED) return;
  if (cqe.res < 0) {
    accept_log_.say("cannot accept a connection: " + text_of(-cqe.res) + "; if files are short, raise `ulimit -n`");
    return;
  }
  Fd client(cqe.res);
  Fd upstream = make_upstream_socket(settings_.upstream);
  if (upstream.get() < 0) {
    accept_log_.say("cannot make a socket for the upstream: " + text_of(errno) + "; raise `ulimit -n`");
    return;
  }
  send_at_once(client.get());
  send_at_once(upstream.get());
  ++accepted_;
  auto& pair = pairs_.emplace_back(std::make_unique<Pair>(std::move(client), std::move(upstream)));
  pair->index = pairs_.size() - 1;
  pair->last_active = now_;
  request(Operation::connect, pair.get(), [&](io_uring_sqe* sqe) {
    io_uring_prep_connect(sqe, pair->upstream().fd(), settings_.upstream.get(), settings_.upstream.length);
  });
}

void Worker::on_connect(Pair& pair, int result) {
  pair.connecting = false;
  if (pair.was_cut) return settle(pair);
  if (result == 0) {
    receiver_->start(pair.client(), pair.client().fd());
    receiver_->start(pair.upstream(), pair.upstream().fd());
    return;
  }
  upstream_log_.say("upstream " + settings_.upstream.text + ": " + text_of(-result) +
                    "; the client was turned away: is the server running there?");
  pair.upstream().ended = pair.upstream().failed = true;
  settle(pair);
}

void Worker::on_received(Side& side, Received&& received) {
  Side& to = side.peer();
  side.pair().last_active = now_;
  side.pair().unanswered = &side == &side.pair().client();
  if (received.closed()) {
    side.ended = true;
    side.failed = side.failed || received.error != 0;
    settle(side.pair());
  } else if (!to.failed) {
    to.outbox.push(std::move(received.data));
    count_backlog(to);
    list(to);
    if (side.paused || to.outbox.size() < outbox_limit()) return;
    side.paused = true;
    receiver_->pause(side);
  }
}

void Worker::on_sent(Side& side, int result) {
  Side& from = side.peer();
  side.pair().last_active = now_;
  side.outbox.sent(result);
  if (result < 0) {
    side.failed = true;
    side.outbox.discard();
  }
  count_backlog(side);
  if (!side.outbox.empty()) list(side);
  if (from.paused && side.outbox.size() <= outbox_limit() / 4) {
    from.paused = false;
    receiver_->resume(from);
  }
  settle(side.pair());
}

/// Slow readers share half of what the thread's receives can use, so that they cannot starve the others.
std::size_t Worker::outbox_limit() const {
  return std::clamp(buffers_ / 2 / std::max<std::size_t>(backlogged_, 1), kLeastQueued, kMostQueued);
}

void Worker::count_backlog(Side& side) {
  const bool backlogged = !side.outbox.empty();
  if (backlogged == side.backlogged) return;
  side.backlogged = backlogged;
  backlogged ? ++backlogged_ : --backlogged_;
}

void Worker::list(Side& side) {
  if (side.listed) return;
  side.listed = true;
  to_send_.push_back(&side);
}

void Worker::send_listed() {
  for (Side* side : to_send_) {
    side->listed = false;
    if (side->outbox.in_flight() || side->outbox.empty()) continue;
    request(Operation::send, side, [&](io_uring_sqe* sqe) { side->outbox.prepare_send(sqe, side->fd()); });
  }
  to_send_.clear();
}

void Worker::settle(Pair& pair) {
  pair.settle(*receiver_);
  count_backlog(pair.client());  // a side that failed has dropped what was in its outbox
  count_backlog(pair.upstream());
  if (!pair.drained()) return;
  if (!pair.lingers()) {
    destroy(pair);
  } else if (std::find(lingering_.begin(), lingering_.end(), &pair) == lingering_.end()) {
    lingering_.push_back(&pair);
  }
}

void Worker::destroy(Pair& pair) {
  for (Side* side : {&pair.client(), &pair.upstream()}) {
    if (side->listed) std::erase(to_send_, side);
  }
  std::erase(lingering_, &pair);
  const std::size_t index = pair.index;
  std::swap(pairs_[index], pairs_.back());
  pairs_[index]->index = index;
  pairs_.pop_back();
}

void Worker::start_finishing() {
  finishing_ = true;
  deadline_ = now_ + settings_.grace;
  cancel(Operation::accept, nullptr);
}

/// What must happen by the clock: late resets, a second try at accepting, and the end of pairs when finishing.
void Worker::tick() {
  const std::vector<Pair*> lingering = lingering_;
  for (Pair* pair : lingering) settle(*pair);
  if (!accepting_ && !finishing_) arm_accept();
  if (finishing_) finish_idle();
}

void Worker::finish_idle() {
  for (std::size_t i = pairs_.size(); i > 0; --i) {
    Pair& pair = *pairs_[i - 1];
    if (now_ > deadline_) {
      cut(pair);
    } else if (pair.idle_since(now_ - kIdleWhenFinishing)) {
      pair.finish(*receiver_);
      settle(pair);
    }
  }
}

void Worker::cut(Pair& pair) {
  if (pair.was_cut) return;
  ++cut_;
  pair.cut(*receiver_);
  if (pair.connecting) cancel(Operation::connect, &pair);
  for (Side* side : {&pair.client(), &pair.upstream()}) {
    if (side->outbox.in_flight()) cancel(Operation::send, side);
  }
  settle(pair);
}

}  // namespace weir::proxy
