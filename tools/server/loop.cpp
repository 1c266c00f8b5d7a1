#include "loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::server {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kOperationMask = 7;
constexpr std::size_t kMostQueued = 16;  // buffers in an outbox, before its source is paused: one message
constexpr std::size_t kLeastQueued = 2;
constexpr auto kTick = 20ms;

__kernel_timespec timespec_of(Clock::duration duration) {
  const auto nanoseconds = std::chrono::nanoseconds(std::max(duration, Clock::duration::zero())).count();
  return {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
}

}  // namespace

void send_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Loop::Loop(Pool& pool, const Settings& settings, int finish)
    : settings_(settings),
      buffers_(pool.options().bytes / pool.options().receive_bytes / settings.threads),
      listener_(listen_at(settings.listen)),
      finish_(finish) {
  receiver_.emplace(pool, ring_.get());
}

std::uint64_t Loop::user_data(Operation operation, const void* subject) {
  return reinterpret_cast<std::uintptr_t>(subject) | static_cast<std::uint64_t>(operation);
}

void Loop::arm_accept() {
  request(Operation::accept, nullptr, [&](io_uring_sqe* sqe) {
    io_uring_prep_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (accepts_many_) sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
  });
  accepting_ = true;
}

void Loop::cancel(Operation operation, const void* subject) {
  request(Operation::cancel, nullptr,
          [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, user_data(operation, subject), 0); });
}

void Loop::run() {
  arm_accept();
  request(Operation::finish, nullptr, [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, finish_, POLLIN); });
  while (!finishing_ || !is_empty()) {
    send_listed();
    wait(receiver_->turn());
    reap();
    if (!accepting_ && !finishing_) arm_accept();
    tick();
  }
  end_requests();
}

/// Nothing of the receiver or of ours stays with the kernel when the memory goes.
void Loop::end_requests() {
  receiver_->stop_all();
  while (!receiver_->quiet() || requests_ > 0) {
    wait(receiver_->turn());
    reap();
  }
}

/// Until there is a completion, or something is due by the clock.
void Loop::wait(bool at_once) {
  const bool ticking = finishing_ || !accepting_ || needs_ticks();
  Clock::time_point until = receiver_->next_deadline();
  if (at_once || ticking) until = std::min(until, Clock::now() + (at_once ? 0ms : kTick));
  const bool for_ever = until == Clock::time_point::max();
  __kernel_timespec limit = timespec_of(for_ever ? 0ms : until - Clock::now());
  io_uring_cqe* cqe = nullptr;
  const int error = io_uring_submit_and_wait_timeout(&ring_.get(), &cqe, 1, for_ever ? nullptr : &limit, nullptr);
  if (error < 0 && error != -ETIME && error != -EINTR && error != -EBUSY && error != -EAGAIN) {
    throw Error(-error, "the io_uring cannot be waited for");
  }
}

void Loop::reap() {
  now_ = Clock::now();
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_.get(), head, cqe) {
    if (cqe->user_data != LIBURING_UDATA_TIMEOUT) handle(*cqe);  // liburing's own, of a wait before Linux 5.11
    ++seen;
  }
  io_uring_cq_advance(&ring_.get(), seen);
}

void Loop::handle(const io_uring_cqe& cqe) {
  if (receiver_->owns(cqe)) {
    receiver_->complete(cqe, [&](Inflow& inflow, Received received) { on_received(inflow, std::move(received)); });
    return;
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --requests_;
  void* const subject = reinterpret_cast<void*>(cqe.user_data & ~kOperationMask);
  switch (static_cast<Operation>(cqe.user_data & kOperationMask)) {
    case Operation::accept:
      return on_accept(cqe);
    case Operation::connect:
      return on_connected(subject, cqe.res);
    case Operation::send:
      return finish_send(*static_cast<Outlet*>(subject), cqe.res);
    case Operation::finish:
      return start_finishing();
    case Operation::cancel:
      return;
  }
}

void Loop::on_connected(void* /*subject*/, int /*result*/) {}

void Loop::on_accept(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) accepting_ = false;
  if (!accepting_ && finishing_) listener_ = Fd{};
  if (cqe.res == -ECANCELED) return;
  if (cqe.res == -EINVAL && accepts_many_) {
    accepts_many_ = false;
    return;
  }
  if (cqe.res < 0) {
    accept_log_.say(std::string("cannot accept a connection: ") + std::strerror(-cqe.res) +
                    "; if files are short, raise `ulimit -n`");
    return;
  }
  Fd client(cqe.res);
  send_at_once(client.get());
  ++accepted_;
  on_accepted(std::move(client));
}

void Loop::push(Outlet& outlet, Loan&& loan) {
  outlet.outbox.push(std::move(loan));
  count_backlog(outlet);
  if (!std::exchange(outlet.listed, true)) to_send_.push_back(&outlet);
}

void Loop::finish_send(Outlet& outlet, int result) {
  outlet.outbox.sent(result);
  if (result < 0) outlet.outbox.discard();
  count_backlog(outlet);
  if (!outlet.outbox.empty() && !std::exchange(outlet.listed, true)) to_send_.push_back(&outlet);
  on_sent(outlet, result);
}

std::size_t Loop::outbox_limit() const {
  return std::clamp(buffers_ / 2 / std::max<std::size_t>(backlogged_, 1), kLeastQueued, kMostQueued);
}

void Loop::count_backlog(Outlet& outlet) {
  const bool backlogged = !outlet.outbox.empty();
  if (backlogged == outlet.backlogged) return;
  outlet.backlogged = backlogged;
  backlogged ? ++backlogged_ : --backlogged_;
}

void Loop::forget(Outlet& outlet) {
  if (outlet.listed) std::erase(to_send_, &outlet);
}

void Loop::send_listed() {
  for (Outlet* outlet : to_send_) {
    outlet->listed = false;
    if (outlet->outbox.in_flight() || outlet->outbox.empty()) continue;
    request(Operation::send, outlet, [&](io_uring_sqe* sqe) { outlet->outbox.prepare_send(sqe, outlet->fd()); });
  }
  to_send_.clear();
}

void Loop::start_finishing() {
  finishing_ = true;
  deadline_ = now_ + settings_.grace;
  cancel(Operation::accept, nullptr);
}

}  // namespace weir::server
