#include <gtest/gtest.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "pool_testing.h"
#include "server/backend.h"

// The servers' way to an io_uring, where the kernel has more to tell than its queue has room for.

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's name for it
extern "C" int __real_io_uring_submit(io_uring* ring);
/// As Linux before 5.10.162 and 5.15 does: it takes no request while completions wait for room on the queue.
extern "C" int __wrap_io_uring_submit(io_uring* ring) {
  const bool full = io_uring_cq_ready(ring) == *ring->cq.kring_entries;
  return full ? -EBUSY : __real_io_uring_submit(ring);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace weir::server {
namespace {

using namespace std::chrono_literals;

/// Polls of an eventfd that never becomes readable. They are cancelled all at once from within a handler.
class ManyPolls : private Backend::Events {
 public:
  ManyPolls(Pool& pool, std::size_t count) : backend_(make_uring_backend(pool, *this)) {
    for (std::size_t i = 0; i < count; ++i) {
      outlets_.emplace_back(Fd(silent_.get()));
      backend_->poll(outlets_.back(), POLLRDHUP);
    }
    backend_->watch(finish_.get());
  }
  ~ManyPolls() {
    for (Outlet& each : outlets_) each.socket.release();  // it is one eventfd, which `silent_` closes
  }
  ManyPolls(const ManyPolls&) = delete;
  ManyPolls& operator=(const ManyPolls&) = delete;

  std::size_t cancelled() const { return cancelled_; }

  void cancel_all() {
    eventfd_write(finish_.get(), 1);
    while (ended_ < outlets_.size()) turn();
    backend_->receiver().stop_all();
    while (backend_->has_inflight()) turn();
  }

 private:
  void turn() {
    (void)backend_->receiver().turn();
    backend_->wait(Clock::now() + 100ms, Clock::time_point::min());
    backend_->dispatch();
  }

  void on_ended(Operation operation, Outlet* /*outlet*/, int result) override {
    if (operation == Operation::finish) {
      for (Outlet& each : outlets_) backend_->cancel(Operation::poll, &each);
      return;
    }
    ++ended_;
    cancelled_ += result == -ECANCELED ? 1 : 0;
  }
  void on_received(Inflow& /*inflow*/, Received&& /*received*/) override {}

  Fd silent_{eventfd(0, EFD_CLOEXEC)};
  Fd finish_{eventfd(0, EFD_CLOEXEC)};
  std::deque<Outlet> outlets_;
  std::size_t ended_ = 0;
  std::size_t cancelled_ = 0;
  std::unique_ptr<Backend> backend_;
};

/// Each cancel has a completion at once, of which the queue takes 16,384.
TEST(UringBackend, MoreCancelsThanTheQueueHasRoomForEndAll) {
  constexpr std::size_t kPolls = 20'000;
  Pool pool(testing::one_class(1 << 20, 4096));
  try {
    ManyPolls polls(pool, kPolls);
    polls.cancel_all();
    EXPECT_EQ(polls.cancelled(), kPolls);
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
}

}  // namespace
}  // namespace weir::server
