#pragma once

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <weir/coroutine.h>
#include <weir/error.h>
#include <weir/receiver.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernel/ring.h"
#include "kernel/stream.h"
#include "pool_testing.h"
#include "seed.h"

// A server in miniature: a pool, an io_uring, a receiver, and connections whose far ends the test speaks
// through.

namespace weir::testing {

struct Peer : Inflow {
  std::uint64_t id = 0;
  SocketPair sockets;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  bool ended = false;
  bool paused = false;
  int error = 0;

  bool whole() const { return received == sent; }
  void take(std::span<const std::byte> text) {
    ASSERT_EQ(stream_match(id, received, text), text.size()) << "connection " << id << ", from " << received;
    received += text.size();
  }
};

enum class Kind { local, tcp };

class World {
 public:
  using Clock = std::chrono::steady_clock;

  struct Shape {
    unsigned flags = 0;
    unsigned entries = 64;
    unsigned completions = 512;
  };

  World(Options options, Shape shape) : pool(std::move(options)), ring(shape.entries, shape.flags, shape.completions) {
    if (!on_epoll) missing = ring.missing();
    if (missing.empty()) make_receiver();
  }

  /// A kernel that is too old for the strategy is no failure.
  void make_receiver() {
    try {
      receiver = on_epoll ? std::make_unique<Receiver>(pool, Epoll{epoll.get()})
                          : std::make_unique<Receiver>(pool, ring.get());
    } catch (const Error& error) {
      const bool too_old = std::string_view(error.what()).find(" need Linux ") != std::string_view::npos;
      if (!too_old) throw;
      missing = error.what();
    }
  }

  Peer& add(Kind kind = Kind::local, Strategy strategy = Strategy::automatic) {
    Peer& peer = *peers.emplace_back(std::make_unique<Peer>());
    peer.id = peers.size();
    peer.sockets = kind == Kind::local ? SocketPair::local() : tcp_pair();
    receiver->start(peer, peer.sockets.near.get(), strategy);
    return peer;
  }

  /// Speaks up to `bytes` of the peer's stream, as far as its socket takes them at once.
  void speak(Peer& peer, std::size_t bytes) {
    const std::vector<std::byte> text = stream_bytes(peer.id, peer.sent, bytes);
    const ssize_t taken = send(peer.sockets.far.get(), text.data(), bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) peer.sent += static_cast<std::uint64_t>(taken);
  }
  void pause(Peer& peer) {
    peer.paused = true;
    receiver->pause(peer);
  }
  void resume(Peer& peer) {
    peer.paused = false;
    receiver->resume(peer);
  }
  void finish(Peer& peer) { shutdown(peer.sockets.far.get(), SHUT_WR); }

  /// Turn, submit, wait for a completion (or the time, or the receiver's deadline), dispatch.
  void step(std::chrono::milliseconds most = std::chrono::milliseconds(0)) {
    turn();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(receiver->next_deadline() - Clock::now());
    most = std::clamp(left, std::chrono::milliseconds(0), most);
    if (on_epoll) return dispatch_events(static_cast<int>(most.count()));
    __kernel_timespec time{.tv_sec = most.count() / 1000, .tv_nsec = most.count() % 1000 * 1'000'000};
    io_uring_cqe* cqe = nullptr;
    io_uring_submit_and_wait_timeout(&ring.get(), &cqe, 1, &time, nullptr);
    dispatch();
  }

  /// The same, without a limit to the wait.
  void step_whenever() {
    turn();
    if (on_epoll) return dispatch_events(-1);
    io_uring_submit_and_wait(&ring.get(), 1);
    dispatch();
  }

  void dispatch() {
    if (on_epoll) return;
    for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring.get(), &cqe) == 0; io_uring_cqe_seen(&ring.get(), cqe)) {
      ASSERT_TRUE(receiver->owns(*cqe));
      ++completions;
      enobufs += cqe->res == -ENOBUFS ? 1 : 0;
      receiver->complete(*cqe, handler_);
    }
  }

  /// Runs the loop until `done()`, or fails when it has waited for `patience`.
  void run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (::testing::Test::HasFatalFailure()) return;
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "it does not come; parked: " << receiver->parked();
      step(std::chrono::milliseconds(100));
    }
  }
  void run_until_whole() {
    run_until([&] { return std::all_of(peers.begin(), peers.end(), [](const auto& peer) { return peer->whole(); }); });
  }

  /// The end of a server: stop, drain, and every buffer is home.
  void end() {
    receiver->stop_all();
    run_until([&] { return !receiver->has_inflight(); });
    kept.clear();
    expect_law(pool, 0);
    receiver.reset();
    expect_law(pool, 0);
    EXPECT_EQ(pool.counts().kernel_ring, 0U);
    EXPECT_EQ(pool.counts().kernel_request, 0U);
  }

  Pool pool;
  Ring ring;
  const bool on_epoll = pool.options().recv == Strategy::epoll;
  File epoll{on_epoll ? epoll_create1(EPOLL_CLOEXEC) : -1};
  std::string missing;  ///< why there is no receiver here; empty when there is
  std::unique_ptr<Receiver> receiver;
  std::vector<std::unique_ptr<Peer>> peers;
  std::uint64_t completions = 0;
  std::uint64_t enobufs = 0;
  bool keep = false;  ///< keeps all that is received in `kept`
  std::vector<Loan> kept;
  std::function<void(Peer&)> after_data = [](Peer&) {};
  std::function<void(Peer&)> after_end = [](Peer&) {};
  std::chrono::seconds patience{60};  ///< so long that no load of the machine uses it up

 private:
  void turn() {
    while (receiver->turn()) {
      if (!on_epoll) io_uring_submit(&ring.get());
    }
  }

  void dispatch_events(int milliseconds) {
    std::array<epoll_event, 64> events{};
    const int count = epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), milliseconds);
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
      ASSERT_TRUE(receiver->owns(event));
      ++completions;
      receiver->complete(event, handler_);
    }
  }

  void take(Peer& peer, Received what) {
    ASSERT_FALSE(peer.ended) << "called again after the end";
    ASSERT_FALSE(peer.paused) << "called while it was paused";
    if (what.closed()) {
      peer.ended = true;
      peer.error = what.error;
      after_end(peer);
      return;
    }
    peer.take(what.data.bytes());
    if (keep) kept.push_back(std::move(what.data));
    after_data(peer);
  }

  std::function<void(Inflow&, Received)> handler_ = [this](Inflow& inflow, Received what) {
    if (is_awaited(inflow)) return resume_awaiting(inflow, std::move(what));
    take(static_cast<Peer&>(inflow), std::move(what));
  };
};

/// Options whose receiver has a ring of `entries` buffers of `bytes`.
inline Options receive_options(std::uint32_t bytes, std::uint32_t entries, std::size_t pool_bytes = 8u << 20) {
  Options options = small_options(pool_bytes);
  options.receive_bytes = bytes;
  options.ring_entries = entries;
  return options;
}

/// For tests of what only a ring can do.
inline Options from_ring(Options options) {
  options.recv = Strategy::ring;
  return options;
}

/// A test that runs on an ordinary io_uring and on one with deferred task work.
class OnBothRings : public ::testing::TestWithParam<unsigned> {
 protected:
  std::unique_ptr<World> make(Options options, unsigned entries = 64, unsigned completions = 512) {
    return std::make_unique<World>(std::move(options),
                                   World::Shape{.flags = GetParam(), .entries = entries, .completions = completions});
  }
};

inline std::string name_of_ring(const ::testing::TestParamInfo<unsigned>& info) {
  return info.param == 0 ? "ordinary" : "deferred";
}

}  // namespace weir::testing

/// Makes `world`, or skips the test and says why.
#define MAKE_WORLD(world, ...)                                                 \
  const auto world##_owner = make(__VA_ARGS__);                                \
  if (!world##_owner->missing.empty()) GTEST_SKIP() << world##_owner->missing; \
  weir::testing::World& world = *world##_owner

#define ON_BOTH_RINGS(suite) \
  INSTANTIATE_TEST_SUITE_P(Rings, suite, ::testing::Values(0U, weir::testing::kDeferred), weir::testing::name_of_ring)
