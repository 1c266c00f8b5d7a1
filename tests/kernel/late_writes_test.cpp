#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "kernel/strategies.h"
#include "seed.h"

// Receivers and their io_urings end, again and again, while data races in. Afterwards nobody writes to the buffers.

namespace weir {
namespace {

using testing::Peer;
using testing::SocketPair;
using testing::World;

/// A connection whose bytes are a peer's stream.
struct Line {
  std::uint64_t id = 0;
  SocketPair sockets;
  std::uint64_t sent = 0;

  void say(std::size_t bytes) {
    const std::vector<std::byte> text = testing::stream_bytes(id, sent, bytes);
    const ssize_t taken = send(sockets.far.get(), text.data(), bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) sent += static_cast<std::uint64_t>(taken);
  }
};

/// A thread that speaks on all of a round's lines when it is asked to.
class Racer {
 public:
  Racer() : thread_([this] { run(); }) {}
  ~Racer() {
    ask(nullptr);
    thread_.join();
  }
  Racer(const Racer&) = delete;
  Racer& operator=(const Racer&) = delete;

  void ask(std::vector<Line>* lines) {
    lines_ = lines;
    ++asked_;
    asked_.notify_one();
  }
  void wait() {
    for (int done = done_; done != asked_; done = done_) done_.wait(done);
  }

 private:
  void run() {
    std::mt19937_64 random{11};
    for (int round = 0;; ++round) {
      asked_.wait(round);
      if (lines_ == nullptr) return;
      for (Line& line : *lines_) line.say(1 + random() % 3000);
      done_ = round + 1;
      done_.notify_one();
    }
  }

  std::vector<Line>* lines_ = nullptr;  // written before asked_, read after it
  std::atomic<int> asked_{0};
  std::atomic<int> done_{0};
  std::thread thread_;
};

class LateWritesTest : public testing::WithEachStrategy {
 protected:
  static constexpr int kRounds = 10'000;  ///< of all cases together
  static constexpr std::size_t kLines = 4;

  static std::vector<Line> open_lines(int round) {
    std::vector<Line> lines(kLines);
    for (std::size_t i = 0; i < kLines; ++i) {
      lines[i].id = i + 1;
      lines[i].sockets = i == 0 && round % 8 == 0 ? testing::tcp_pair() : SocketPair::local();
    }
    return lines;
  }
  static void start(World& world, const std::vector<Line>& lines) {
    world.make_receiver();
    for (const Line& line : lines) {
      Peer& peer = *world.peers.emplace_back(std::make_unique<Peer>());
      peer.id = line.id;
      world.receiver->start(peer, line.sockets.near.get());
    }
  }
  /// In one of several ways, some of which leave connections to stop_all().
  void stop(World& world, int round) {
    if (round % 4 == 1) world.peers.resize(kLines / 2);
    if (round % 4 == 2) world.step(std::chrono::milliseconds(round / 4 % 2));
    if (round % 4 == 3) world.peers.clear();
    if (round % 3 == 0) world.step();
    world.receiver->stop_all();
    world.run_until([&] { return !world.receiver->has_inflight(); });
    world.receiver.reset();
    world.peers.clear();
  }
};
WITH_EACH_STRATEGY(LateWritesTest);

TEST_P(LateWritesTest, NoneAfterATeardownWithRequestsInFlight) {
  Options options = scarce(16, 8);
  options.idle_ms = 1;
  MAKE_WORLD(world, options, 16, 64);
  world.receiver.reset();
  Racer racer;
  const int rounds = testing::steps(kRounds) / static_cast<int>(2 * testing::kStrategies.size());
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    std::vector<Line> lines = open_lines(round);
    start(world, lines);
    if (round % 2 == 0) lines[random_() % kLines].say(2000);
    world.step();
    racer.ask(&lines);
    stop(world, round);
    const bool ends_at_once = round % 5 < 3;
    if (ends_at_once) world.ring.end();
    const std::vector<Loan> loans = testing::lend_all(world.pool, 1);
    EXPECT_EQ(loans.size(), world.pool.counts().capacity);
    for (const Loan& loan : loans) testing::mark(loan, 0x5a);
    racer.wait();
    for (Line& line : lines) line.say(2000);
    if (!ends_at_once) {
      io_uring_get_events(&world.ring.get());
      world.ring.end();
    }
    if (round % 64 == 0) usleep(2000);
    for (const Loan& loan : loans) EXPECT_TRUE(testing::is_marked(loan, 0x5a)) << "a late write in round " << round;
    world.ring.begin();
  }
  testing::expect_law(world.pool, 0);
}

}  // namespace
}  // namespace weir
