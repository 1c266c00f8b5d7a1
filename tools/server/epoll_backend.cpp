#include <fcntl.h>
#include <sys/epoll.h>
#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <span>
#include <utility>

#include "backend.h"

namespace weir::server {
namespace {

constexpr std::size_t kMostEvents = 256;  // of one wait
constexpr int kMostAccepts = 64;          // of one dispatch, so that what has come meanwhile is not forgotten
constexpr unsigned kOperationBits = 3;
constexpr std::uint64_t kOperationMask = (1 << kOperationBits) - 1;

Fd make_epoll() {
  Fd fd(epoll_create1(EPOLL_CLOEXEC));
  if (fd.get() < 0) throw Error(errno, "cannot make an epoll: raise `ulimit -n`");
  return fd;
}

/// 0, or -errno.
int add(const Fd& epoll, int fd, std::uint32_t events, std::uint64_t data) {
  epoll_event event{.events = events, .data = {.u64 = data}};
  return epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void must_add(const Fd& epoll, int fd, std::uint32_t events, std::uint64_t data) {
  const int error = add(epoll, fd, events, data);
  if (error != 0) throw Error(-error, "the epoll takes no file: raise `sysctl fs.epoll.max_user_watches`");
}

bool remove(const Fd& epoll, int fd) { return epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd, nullptr) == 0; }

void make_non_blocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

int milliseconds_until(Clock::time_point until) {
  if (until == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

int result_of_connect(const Outlet& outlet) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(outlet.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
  return -error;
}

/// A file is in an epoll once, and the receiver has the connections in `inflows_` to hear of what comes in. So those
/// that wait for room are in an epoll of their own, and so are those that are polled; both are in the first one.
class EpollBackend final : public Backend {
 public:
  EpollBackend(Pool& pool, Events& events) : events_(events), receiver_(pool, Epoll{inflows_.get()}) {
    must_add(inflows_, outlets_.get(), EPOLLIN, kOutlets);
    must_add(inflows_, polled_.get(), EPOLLIN, kPolled);
  }

  Receiver& receiver() override { return receiver_; }

  void accept(std::span<const Fd> listeners) override {
    listeners_ = listeners;
    for (const Fd& each : listeners) {
      make_non_blocking(each.get());  // who was to be accepted may have gone
      const int error = add(inflows_, each.get(), EPOLLIN, name_of_listener(each.get()));
      if (error != 0) return stop_accepting(error);
    }
  }

  void watch(int finish) override {
    must_add(inflows_, finish, EPOLLIN | EPOLLONESHOT, static_cast<std::uint64_t>(Operation::finish));
  }

  void connect(Outlet& outlet, const Address& address) override {
    make_non_blocking(outlet.fd());
    const int error = ::connect(outlet.fd(), address.get(), address.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) return wait_for_room(Operation::connect, outlet);
    ended_.push_back({Operation::connect, &outlet, -error});
  }

  void send(Outlet& outlet) override {
    outlet.outbox.begin_send();
    const int result = outlet.try_send();
    if (result == -EAGAIN) return wait_for_room(Operation::send, outlet);
    ended_.push_back({Operation::send, &outlet, result});
  }

  void poll(Outlet& outlet, unsigned events) override { wait_in(polled_, events, Operation::poll, outlet); }

  void cancel(Operation operation, Outlet* outlet) override {
    if (operation == Operation::accept) return stop_accepting(-ECANCELED);
    const Fd& epoll = operation == Operation::poll ? polled_ : outlets_;
    if (remove(epoll, outlet->fd())) ended_.push_back({operation, outlet, -ECANCELED});
  }

  void wait(Clock::time_point until, Clock::time_point awake_until) override {
    while (ended_.empty() && Clock::now() < awake_until) {
      look(0);
      if (count_ > 0) return;
    }
    look(ended_.empty() ? milliseconds_until(until) : 0);
  }

  void dispatch() override {
    for (const epoll_event& event : std::span(ready_).first(std::exchange(count_, 0))) handle(event);
    for (std::size_t left = ended_.size(); left > 0; --left) {
      const Ended ended = ended_.front();
      ended_.pop_front();
      events_.on_ended(ended.operation, ended.outlet, ended.result);
    }
  }

  bool has_inflight() const override { return receiver_.has_inflight() || !ended_.empty(); }

 private:
  static constexpr std::uint64_t kOutlets = kOperationMask;
  static constexpr std::uint64_t kPolled = kOperationMask - 1;
  struct Ended {
    Operation operation;
    Outlet* outlet;
    int result;
  };

  void look(int timeout) {
    const int count = epoll_wait(inflows_.get(), ready_.data(), kMostEvents, timeout);
    if (count < 0 && errno != EINTR) throw Error(errno, "the epoll cannot be waited for");
    count_ = static_cast<std::size_t>(std::max(count, 0));
  }

  void handle(const epoll_event& event) {
    if (receiver_.owns(event)) {
      receiver_.complete(event,
                         [&](Inflow& inflow, Received received) { events_.on_received(inflow, std::move(received)); });
    } else if (event.data.u64 == kOutlets) {
      go_on();
    } else if (event.data.u64 == kPolled) {
      end_polls();
    } else if (static_cast<Operation>(event.data.u64 & kOperationMask) == Operation::accept) {
      accept_waiting(static_cast<int>(event.data.u64 >> kOperationBits));
    } else {
      ended_.push_back({Operation::finish, nullptr, 0});
    }
  }

  static std::uint64_t name_of_listener(int fd) {
    return static_cast<std::uint64_t>(fd) << kOperationBits | static_cast<std::uint64_t>(Operation::accept);
  }

  void accept_waiting(int listener) {
    for (int i = 0; i < kMostAccepts && !listeners_.empty(); ++i) {
      const int result = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      const int error = result < 0 ? errno : 0;
      if (error == EAGAIN) return;
      if (error == EINTR || error == ECONNABORTED) continue;
      if (error != 0) return stop_accepting(-error);
      events_.on_ended(Operation::accept, nullptr, result);
    }
  }

  void stop_accepting(int result) {
    if (listeners_.empty()) return;
    for (const Fd& each : std::exchange(listeners_, {})) remove(inflows_, each.get());
    ended_.push_back({Operation::accept, nullptr, result});
  }

  void wait_for_room(Operation operation, Outlet& outlet) { wait_in(outlets_, EPOLLOUT, operation, outlet); }

  void wait_in(const Fd& epoll, std::uint32_t events, Operation operation, Outlet& outlet) {
    const std::uint64_t data = reinterpret_cast<std::uintptr_t>(&outlet) | static_cast<std::uint64_t>(operation);
    const int error = add(epoll, outlet.fd(), events, data);
    if (error != 0) ended_.push_back({operation, &outlet, error});
  }

  /// Calls `visit(operation, outlet, events)` for those that are ready now. REQUIRES: it calls nobody else, so that
  /// none of them has gone meanwhile.
  template <typename Visit>
  static void for_each_ready(const Fd& epoll, Visit visit) {
    std::array<epoll_event, kMostEvents> ready;
    const int count = epoll_wait(epoll.get(), ready.data(), kMostEvents, 0);
    for (const epoll_event& event : std::span(ready).first(static_cast<std::size_t>(std::max(count, 0)))) {
      visit(static_cast<Operation>(event.data.u64 & kOperationMask),
            *reinterpret_cast<Outlet*>(event.data.u64 & ~kOperationMask), event.events);
    }
  }

  /// With those that have room now.
  void go_on() {
    for_each_ready(outlets_, [this](Operation operation, Outlet& outlet, std::uint32_t /*events*/) {
      const int result = operation == Operation::connect ? result_of_connect(outlet) : outlet.try_send();
      if (result == -EAGAIN) return;
      remove(outlets_, outlet.fd());
      ended_.push_back({operation, &outlet, result});
    });
  }

  void end_polls() {
    for_each_ready(polled_, [this](Operation operation, Outlet& outlet, std::uint32_t events) {
      remove(polled_, outlet.fd());
      ended_.push_back({operation, &outlet, static_cast<int>(events)});
    });
  }

  Events& events_;
  const Fd inflows_ = make_epoll();
  const Fd outlets_ = make_epoll();
  const Fd polled_ = make_epoll();
  Receiver receiver_;
  std::span<const Fd> listeners_;  ///< while it accepts
  std::array<epoll_event, kMostEvents> ready_{};
  std::size_t count_ = 0;  ///< of ready_ that were not handled yet
  std::deque<Ended> ended_;
};

}  // namespace

std::unique_ptr<Backend> make_epoll_backend(Pool& pool, Backend::Events& events) {
  return std::make_unique<EpollBackend>(pool, events);
}

}  // namespace weir::server
