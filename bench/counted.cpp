// bench-counted pair|message COUNT: exactly so many lends and drops, or messages received, for a program that counts
// instructions (bench/counters).

#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/pool.h>
#include <weir/receiver.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace {

constexpr std::size_t kMessage = 64;

void pairs(weir::Pool& pool, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const weir::Loan loan = pool.lend(4096);
    asm volatile("" : : "r"(loan.data()) : "memory");
  }
}

/// Messages that come one at a time, each received before the next is sent.
class Messages {
 public:
  explicit Messages(weir::Pool& pool) {
    if (io_uring_queue_init(8, &ring_, 0) != 0) throw std::runtime_error("no io_uring here");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_.data()) != 0) throw std::runtime_error("no sockets");
    receiver_ = std::make_unique<weir::Receiver>(pool, ring_);
    receiver_->start(inflow_, sockets_[0]);
  }
  ~Messages() {
    receiver_->stop_all();
    while (receiver_->has_inflight()) step();
  }
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  void receive(std::size_t count) {
    constexpr std::array<char, kMessage> kText{};
    for (std::size_t sent = 0; sent < count; ++sent) {
      if (write(sockets_[1], kText.data(), kText.size()) < 0) throw std::runtime_error("cannot send");
      while (received_ < (sent + 1) * kMessage) step();
    }
  }

 private:
  void step() {
    receiver_->turn();
    io_uring_submit_and_wait(&ring_, 1);
    for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring_, &cqe) == 0; io_uring_cqe_seen(&ring_, cqe)) {
      receiver_->complete(*cqe, [this](weir::Inflow&, weir::Received what) { received_ += what.data.size(); });
    }
  }

  io_uring ring_{};
  std::array<int, 2> sockets_{};
  std::unique_ptr<weir::Receiver> receiver_;
  weir::Inflow inflow_;
  std::size_t received_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const std::string_view what = arguments[1];
  const auto number = static_cast<std::size_t>(std::atoll(arguments[2]));
  try {
    // Never destroyed: without its counters the pool would find that buffers are missing.
    weir::Pool& pool = *new weir::Pool(weir::Options::from_env());
    if (what == "pair") {
      pairs(pool, number);
    } else if (what == "message") {
      Messages(pool).receive(number);
    } else {
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-counted: %s\n", error.what());
    return 1;
  }
}
