// holder [busy] [two] [burst]: holds buffers in every way there is and says "ready USER RING", the numbers it holds;
// drops the loans at each line it is sent and says "dropped"; ends at the end of its input. With "busy", two threads
// lend and drop all the while; with "two", there is a second pool, "other"; with "burst", it has received from many
// connections at once, often. A child of fork lives as long, which has the segment open but no pool of its own.

#include <liburing.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>
#include <weir/receiver.h>
#include <weir/trace.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kThreads = 3;
constexpr std::size_t kLoansOfEach = 10;

/// A receiver, where the kernel allows one, and what it has received of its one connection.
class Receiving {
 public:
  explicit Receiving(weir::Pool& pool) {
    if (io_uring_queue_init(8, &ring_, 0) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_.data()) != 0) return;
    try {
      receiver_ = std::make_unique<weir::Receiver>(pool, ring_);
    } catch (const weir::Error&) {
      return;
    }
    receiver_->start(inflow_, sockets_[0]);
    if (write(sockets_[1], kMessage.data(), kMessage.size()) < 0) return;
    while (!received_) step();
    receiver_->turn();
  }
  ~Receiving() {
    received_ = {};
    if (receiver_) receiver_->stop_all();
    while (receiver_ && receiver_->has_inflight()) step();
  }
  Receiving(const Receiving&) = delete;
  Receiving& operator=(const Receiving&) = delete;

  bool works() const { return receiver_ != nullptr; }
  void drop() { received_ = {}; }

 private:
  static constexpr std::string_view kMessage = "a hundred gallons over the weir";

  void step() {
    receiver_->turn();
    io_uring_submit_and_wait(&ring_, 1);
    for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring_, &cqe) == 0; io_uring_cqe_seen(&ring_, cqe)) {
      receiver_->complete(*cqe, [this](weir::Inflow&, weir::Received what) { received_ = std::move(what.data); });
    }
  }

  io_uring ring_{};
  std::array<int, 2> sockets_{};
  std::unique_ptr<weir::Receiver> receiver_;
  weir::Inflow inflow_;
  weir::Loan received_;
};

/// Many connections of a receiver, which all have data at once, again and again.
class Bursts {
 public:
  explicit Bursts(weir::Pool& pool) {
    if (io_uring_queue_init(2 * kConnections, &ring_, 0) != 0) return;
    receiver_ = std::make_unique<weir::Receiver>(pool, ring_);
    for (std::size_t i = 0; i < kConnections; ++i) {
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_.at(i).data()) != 0) std::abort();
      receiver_->start(inflows_.at(i), sockets_.at(i)[0]);
    }
    for (std::size_t round = 1; round <= kRounds; ++round) {
      for (const auto& ends : sockets_) {
        if (write(ends[1], "x", 1) != 1) std::abort();
      }
      while (received_ < round * kConnections) step();
      receiver_->turn();  // the rings are full again before the next
    }
  }
  ~Bursts() {
    if (receiver_) receiver_->stop_all();
    while (receiver_ && receiver_->has_inflight()) step();
  }
  Bursts(const Bursts&) = delete;
  Bursts& operator=(const Bursts&) = delete;

 private:
  static constexpr std::size_t kConnections = 64;
  static constexpr std::size_t kRounds = 400;

  void step() {
    const bool more = receiver_->turn();
    more ? io_uring_submit(&ring_) : io_uring_submit_and_wait(&ring_, 1);
    for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring_, &cqe) == 0; io_uring_cqe_seen(&ring_, cqe)) {
      receiver_->complete(*cqe, [this](weir::Inflow&, const weir::Received& what) { received_ += what.data.size(); });
    }
  }

  io_uring ring_{};
  std::array<std::array<int, 2>, kConnections> sockets_{};
  std::unique_ptr<weir::Receiver> receiver_;
  std::array<weir::Inflow, kConnections> inflows_;
  std::size_t received_ = 0;
};

/// Loans of several threads, which live on, and of one that has ended.
class HeldLoans {
 public:
  explicit HeldLoans(weir::Pool& pool) {
    for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this, &pool, i] { lend_and_stay(pool, i); });
    std::thread([this, &pool] { lend(pool, 512); }).join();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return loans_.size() == (kThreads + 1) * kLoansOfEach; });
  }
  ~HeldLoans() {
    {
      const std::lock_guard lock(mutex_);
      loans_.clear();
      leave_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  HeldLoans(const HeldLoans&) = delete;
  HeldLoans& operator=(const HeldLoans&) = delete;

  std::size_t count() const { return loans_.size(); }
  void drop() {
    const std::lock_guard lock(mutex_);
    loans_.clear();
  }

 private:
  void lend(weir::Pool& pool, std::size_t bytes) {
    const weir::BorrowerTag tag("held by a thread");
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < kLoansOfEach; ++i) loans_.push_back(pool.lend(bytes));
  }

  void lend_and_stay(weir::Pool& pool, std::size_t number) {
    lend(pool, std::size_t{1024} << number);
    changed_.notify_all();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return leave_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool leave_ = false;
  std::vector<weir::Loan> loans_;
  std::vector<std::thread> threads_;
};

/// Threads that lend, and drop what they or others have lent, until the end.
class Traffic {
 public:
  Traffic(weir::Pool& pool, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this, &pool] { lend_and_drop(pool); });
  }
  ~Traffic() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

 private:
  void lend_and_drop(weir::Pool& pool) {
    for (std::size_t i = 0; !stop_; i = (i + 1) % loans_.size()) {
      weir::Loan loan = pool.lend(4096);
      const std::lock_guard lock(mutex_);
      std::swap(loans_[i], loan);
    }
  }

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::array<weir::Loan, 100> loans_;
  std::vector<std::thread> threads_;
};

/// A child of fork that lives as long as this, and no longer than its parent.
class Child {
 public:
  Child() : parent_(getpid()), id_(fork()) {
    if (id_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent_) pause();
    _exit(0);
  }
  ~Child() {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t id() const { return id_; }

 private:
  const pid_t parent_;
  const pid_t id_;
};

}  // namespace

/// Answers whoever drives it, until that ends.
void serve(HeldLoans& loans, Receiving& receiving) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "exec") execlp("cat", "cat", nullptr);
    loans.drop();
    receiving.drop();
    std::cout << "dropped" << std::endl;
  }
}

/// The process goes on without its first thread.
[[noreturn]] void serve_headless(HeldLoans& loans, Receiving& receiving) {
  std::thread([&] {
    serve(loans, receiving);
    _exit(0);
  }).detach();
  for (;;) syscall(SYS_exit, 0);
}

int main(int count, char** arguments) {
  const std::vector<std::string_view> words(arguments + 1, arguments + count);
  const auto asked = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  weir::Options options = weir::Options::from_env();
  options.name = "held";
  weir::Pool pool(options);
  std::optional<weir::Pool> other;
  if (asked("two")) {
    options.name = "other";
    other.emplace(options);
  }
  if (asked("undumpable")) prctl(PR_SET_DUMPABLE, 0);
  const Child child;
  Receiving receiving(pool);
  HeldLoans loans(pool);
  const Traffic traffic(pool, asked("busy") ? 2 : 0);
  const auto bursts = asked("burst") ? std::make_unique<Bursts>(pool) : nullptr;
  std::cout << "ready " << loans.count() << ' ' << receiving.works() << ' ' << child.id() << std::endl;
  if (asked("headless")) serve_headless(loans, receiving);
  serve(loans, receiving);
}
