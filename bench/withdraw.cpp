// How the buffers of a ring come home. Swapped: the ring is taken from the kernel, its buffers go to the pool, and it
// is registered anew when it is needed. Starved: it is not refilled, and each receive takes a buffer out of it.

#include <benchmark/benchmark.h>
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/pool.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "ring/ring_slots.h"

namespace {

using weir::detail::RingSlots;

constexpr std::uint16_t kGroup = 64;
constexpr std::uint32_t kBytes = 2048;
constexpr unsigned kRequests = 1024;

/// A ring of buffers, and a connection that could use them.
class Stocked {
 public:
  explicit Stocked(std::uint32_t entries) : entries_(entries) {
    if (io_uring_queue_init(kRequests, &ring_, 0) != 0) std::abort();
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends_.data()) != 0) std::abort();  // a buffer for each message
    slots_ = std::make_unique<RingSlots>(pool_.state(), ring_, kGroup, entries, kBytes);
  }
  ~Stocked() {
    slots_->withdraw();
    if (slots_->unregister() != 0) std::abort();
    slots_.reset();
    io_uring_queue_exit(&ring_);
    for (const int end : ends_) close(end);
  }
  Stocked(const Stocked&) = delete;
  Stocked& operator=(const Stocked&) = delete;

  void fill() {
    if (slots_->replenish(entries_) != entries_) std::abort();
  }
  void swap() { slots_->withdraw(); }

  /// A message at a time, as an almost idle connection has them.
  void starve() {
    while (slots_->filled() > 0) {
      if (write(ends_[1], "x", 1) != 1) std::abort();
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      io_uring_prep_recv(sqe, ends_[0], nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
      io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* cqe = nullptr;
      if (io_uring_peek_cqe(&ring_, &cqe) != 0) std::abort();
      const weir::Loan used = slots_->claim(*cqe);
      io_uring_cqe_seen(&ring_, cqe);
    }
  }

 private:
  const std::uint32_t entries_;
  weir::Pool pool_;
  io_uring ring_{};
  std::array<int, 2> ends_{};
  std::unique_ptr<RingSlots> slots_;
};

/// With the filling that both need before.
template <void (Stocked::*kBringHome)()>
void bring_home(benchmark::State& state) {
  Stocked from_depot(static_cast<std::uint32_t>(state.range(0)));
  for ([[maybe_unused]] auto each : state) {
    from_depot.fill();
    (from_depot.*kBringHome)();
  }
}

BENCHMARK_TEMPLATE(bring_home, &Stocked::swap)->Name("swapped")->RangeMultiplier(8)->Range(8, 512);
BENCHMARK_TEMPLATE(bring_home, &Stocked::starve)->Name("starved")->RangeMultiplier(8)->Range(8, 512);

}  // namespace

BENCHMARK_MAIN();
