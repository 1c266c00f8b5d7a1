#include <poll.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "backend.h"
#include "uring.h"

namespace weir::server {
namespace {

constexpr unsigned kOperationBits = 3;
constexpr std::uint64_t kOperationMask = (1 << kOperationBits) - 1;
constexpr std::uint64_t kCancel = 7;  // of any operation; nobody waits for its end
// The kernel goes on with a short send by itself, so that one completion tells the end of all of it.
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_WAITALL;

__kernel_timespec timespec_of(Clock::duration duration) {
  const auto nanoseconds = std::chrono::nanoseconds(std::max(duration, Clock::duration::zero())).count();
  return {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
}

/// The user data of a request: the operation in the low bits of the outlet's address.
std::uint64_t name_of(Operation operation, const Outlet* outlet) {
  return reinterpret_cast<std::uintptr_t>(outlet) | static_cast<std::uint64_t>(operation);
}
static_assert(alignof(Outlet) > kOperationMask);

class UringBackend final : public Backend {
 public:
  UringBackend(Pool& pool, Events& events) : events_(events), receiver_(pool, ring_.get()) {}

  Receiver& receiver() override { return receiver_; }

  void accept(std::span<const Fd> listeners) override {
    listeners_ = listeners;
    accept_result_ = 0;
    armed_many_ = accepts_many_ ? listeners.size() : 0;
    for (const Fd& each : listeners) arm_accept(each.get());
  }

  void watch(int finish) override {
    io_uring_prep_poll_add(request(name_of(Operation::finish, nullptr)), finish, POLLIN);
  }

  void connect(Outlet& outlet, const Address& address) override {
    io_uring_prep_connect(request(name_of(Operation::connect, &outlet)), outlet.fd(), address.get(), address.length);
  }

  void send(Outlet& outlet) override {
    const msghdr& message = outlet.outbox.begin_send();
    io_uring_sqe* sqe = request(name_of(Operation::send, &outlet));
    if (message.msg_iovlen == 1) {
      io_uring_prep_send(sqe, outlet.fd(), message.msg_iov->iov_base, message.msg_iov->iov_len, kSendFlags);
    } else {
      io_uring_prep_sendmsg(sqe, outlet.fd(), &message, kSendFlags);
    }
  }

  void poll(Outlet& outlet, unsigned events) override {
    io_uring_prep_poll_add(request(name_of(Operation::poll, &outlet)), outlet.fd(), events);
  }

  void cancel(Operation operation, Outlet* outlet) override {
    if (operation == Operation::accept) return stop_accepting(-ECANCELED);
    io_uring_prep_cancel64(request(kCancel), name_of(operation, outlet), 0);
  }

  void wait(Clock::time_point until, Clock::time_point awake_until) override {
    if (!taken_.empty()) return;
    while (Clock::now() < awake_until) {
      io_uring_submit_and_get_events(&ring_.get());
      if (io_uring_cq_ready(&ring_.get()) > 0) return;
    }
    const bool for_ever = until == Clock::time_point::max();
    __kernel_timespec limit = timespec_of(for_ever ? Clock::duration::zero() : until - Clock::now());
    io_uring_cqe* cqe = nullptr;
    const int error = io_uring_submit_and_wait_timeout(&ring_.get(), &cqe, 1, for_ever ? nullptr : &limit, nullptr);
    if (error < 0 && error != -ETIME && error != -EINTR && error != -EBUSY && error != -EAGAIN) {
      throw Error(-error, "the io_uring cannot be waited for");
    }
  }

  void dispatch() override {
    take_completions();
    const std::size_t count = taken_.size();  // what handlers add is for the next time
    for (std::size_t i = 0; i < count; ++i) {
      const io_uring_cqe completion = taken_[i];
      handle(completion);
    }
    taken_.erase(taken_.begin(), taken_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  bool has_inflight() const override { return receiver_.has_inflight() || requests_ > 0; }

 private:
  /// A place on the submission queue, which is submitted first when it is full. The prep sets all but the user data.
  io_uring_sqe* request(std::uint64_t user_data) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
    while (sqe == nullptr) {
      if (io_uring_submit(&ring_.get()) == -EBUSY) take_completions();
      sqe = io_uring_get_sqe(&ring_.get());
    }
    io_uring_sqe_set_data64(sqe, user_data);
    ++requests_;
    return sqe;
  }

  /// From the completion queue, on which there is room then. Linux before 5.10.162 and 5.15 takes no requests while
  /// completions wait for room there.
  void take_completions() {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_.get(), head, cqe) {
      taken_.push_back(*cqe);
      ++count;
    }
    io_uring_cq_advance(&ring_.get(), count);
  }

  static std::uint64_t name_of_listener(int fd) {
    return static_cast<std::uint64_t>(fd) << kOperationBits | static_cast<std::uint64_t>(Operation::accept);
  }

  void arm_accept(int listener) {
    io_uring_sqe* sqe = request(name_of_listener(listener));
    io_uring_prep_accept(sqe, listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepts_many_) sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
    ++armed_accepts_;
  }

  /// Of all listeners; it has ended when all of their requests have.
  void stop_accepting(int result) {
    if (std::exchange(accept_result_, result) != 0) return;
    for (const Fd& each : listeners_) io_uring_prep_cancel64(request(kCancel), name_of_listener(each.get()), 0);
  }

  void handle(const io_uring_cqe& cqe) {
    if (cqe.user_data == LIBURING_UDATA_TIMEOUT) return;  // liburing's own, of a wait before Linux 5.11
    if (receiver_.owns(cqe)) {
      receiver_.complete(cqe,
                         [&](Inflow& inflow, Received received) { events_.on_received(inflow, std::move(received)); });
      return;
    }
    const bool ended = (cqe.flags & IORING_CQE_F_MORE) == 0;
    if (ended) --requests_;
    const std::uint64_t kind = cqe.user_data & kOperationMask;
    if (kind == kCancel) return;
    const auto operation = static_cast<Operation>(kind);
    if (operation == Operation::accept)
      return handle_accept(static_cast<int>(cqe.user_data >> kOperationBits), cqe.res, ended);
    events_.on_ended(operation, reinterpret_cast<Outlet*>(cqe.user_data & ~kOperationMask), cqe.res);
  }

  /// An accept that ends without a failure is armed again, as long as it is wanted.
  void handle_accept(int listener, int result, bool ended) {
    if (result >= 0) events_.on_ended(Operation::accept, nullptr, result);
    if (!ended) return;
    --armed_accepts_;
    const bool wanted = accept_result_ == 0;
    const bool falls_back = result == -EINVAL && armed_many_ > 0;
    if (falls_back) {
      --armed_many_;
      accepts_many_ = false;
    }
    if (wanted && (result >= 0 || falls_back)) return arm_accept(listener);
    if (wanted) stop_accepting(result);
    if (armed_accepts_ == 0) events_.on_ended(Operation::accept, nullptr, accept_result_);
  }

  Events& events_;
  Ring ring_;
  Receiver receiver_;
  std::vector<io_uring_cqe> taken_;  ///< completions that are not handled yet
  std::size_t requests_ = 0;         ///< our own, with the kernel
  std::span<const Fd> listeners_;
  int accept_result_ = 0;       ///< why it accepts no more, or 0
  unsigned armed_accepts_ = 0;  ///< requests of accepting
  std::size_t armed_many_ = 0;  ///< listeners that may still tell that the kernel accepts one by one only
  bool accepts_many_ = true;    ///< by one request, from Linux 5.19 on
};

}  // namespace

std::unique_ptr<Backend> make_uring_backend(Pool& pool, Backend::Events& events) {
  return std::make_unique<UringBackend>(pool, events);
}

}  // namespace weir::server
