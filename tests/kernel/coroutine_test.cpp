#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <weir/coroutine.h>

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/strategies.h"
#include "seed.h"

// Coroutines that await their connections' data, by every strategy, on the loop that serves handlers too.

namespace weir {
namespace {

using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::World;

/// A coroutine that begins at once, and is destroyed with this, wherever it waits.
class Task {
 public:
  // NOLINTNEXTLINE(readability-identifier-naming): the language's name
  struct promise_type {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };

  Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~Task() {
    if (coroutine_) coroutine_.destroy();
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}
  std::coroutine_handle<promise_type> coroutine_;
};

/// A connection of which no handler hears.
Peer& connect(World& world, Kind kind = Kind::local) {
  Peer& peer = *world.peers.emplace_back(std::make_unique<Peer>());
  peer.id = world.peers.size();
  peer.sockets = kind == Kind::local ? testing::SocketPair::local() : testing::tcp_pair();
  return peer;
}

void note(Peer& peer, const Received& what) {
  peer.ended = what.closed();
  peer.error = what.error;
  peer.take(what.data.bytes());
}

Task listen(AwaitedInflow& inflow, Peer& peer) {
  while (!peer.ended) note(peer, co_await inflow.receive());
}

Task listen(Receiver& receiver, Peer& peer) {
  AwaitedInflow inflow{receiver, peer.sockets.near.get()};
  while (!peer.ended) note(peer, co_await inflow.receive());
}

Task echo(Receiver& receiver, Peer& peer) {
  const int fd = peer.sockets.near.get();
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  AwaitedInflow inflow{receiver, fd};
  for (;;) {
    const Received what = co_await inflow.receive();
    if (what.closed()) break;
    EXPECT_EQ(send(fd, what.data.data(), what.data.size(), MSG_NOSIGNAL), static_cast<ssize_t>(what.data.size()));
  }
  shutdown(fd, SHUT_WR);
}

/// What has come back to the peer's far end by now; false at the end.
bool hear(Peer& peer) {
  std::array<std::byte, 4096> bytes;
  for (;;) {
    const ssize_t count = recv(peer.sockets.far.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return count < 0;
    peer.take(std::span(bytes).first(static_cast<std::size_t>(count)));
  }
}

class CoroutineTest : public testing::WithEachStrategy {};
WITH_EACH_STRATEGY(CoroutineTest);

TEST_P(CoroutineTest, FiftyEchoes) {
  MAKE_WORLD(world, receive_options(4096, 64));
  std::vector<Task> tasks;
  for (int i = 0; i < 50; ++i) {
    tasks.push_back(echo(*world.receiver, connect(world, i % 2 == 0 ? Kind::local : Kind::tcp)));
  }
  for (int round = 0; round < testing::steps(20); ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 9000);
    world.run_until([&] {
      return std::all_of(world.peers.begin(), world.peers.end(), [](auto& peer) { return hear(*peer), peer->whole(); });
    });
  }
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until(
      [&] { return std::none_of(world.peers.begin(), world.peers.end(), [](auto& p) { return hear(*p); }); });
  tasks.clear();
  world.end();
}

TEST_P(CoroutineTest, TheEndComesAfterTheDataAndAtEachLaterAwait) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = connect(world);
  const auto listen_on = [](Receiver& receiver, Peer& from, int& ends) -> Task {
    AwaitedInflow inflow{receiver, from.sockets.near.get()};
    while (ends < 3) {
      note(from, co_await inflow.receive());
      if (from.ended) ++ends;
    }
  };
  int ends = 0;
  const Task task = listen_on(*world.receiver, peer, ends);
  world.speak(peer, 20'000);
  world.finish(peer);
  world.run_until([&] { return ends == 3; });
  EXPECT_TRUE(peer.whole());
  EXPECT_EQ(peer.error, 0);
  world.end();
}

TEST_P(CoroutineTest, AResetIsAnError) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = connect(world, Kind::tcp);
  const Task task = listen(*world.receiver, peer);
  world.speak(peer, 100);
  world.run_until_whole();
  testing::close_with_reset(peer.sockets.far);
  world.run_until([&] { return peer.ended; });
  EXPECT_EQ(peer.error, ECONNRESET);
  world.end();
}

TEST_P(CoroutineTest, StoppedItGoesOnAtOnce) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = connect(world);
  AwaitedInflow inflow{*world.receiver, peer.sockets.near.get()};
  const Task task = listen(inflow, peer);
  world.speak(peer, 100);
  world.run_until_whole();
  world.speak(peer, 100);
  inflow.stop();
  EXPECT_TRUE(peer.ended);
  EXPECT_EQ(peer.error, ECANCELED);
  for (int i = 0; i < 4; ++i) world.step();
  EXPECT_EQ(peer.received, 100U) << "data after stop()";
  peer.ended = false;
  const Task again = listen(inflow, peer);
  EXPECT_EQ(peer.error, ECANCELED) << "said once more, without a wait";
  EXPECT_TRUE(peer.ended);
  world.end();
}

TEST_P(CoroutineTest, StoppedItDropsWhatWasKept) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = connect(world);
  AwaitedInflow inflow{*world.receiver, peer.sockets.near.get()};
  world.speak(peer, 100);
  int unread = 0;
  world.run_until([&] { return ioctl(peer.sockets.near.get(), FIONREAD, &unread) == 0 && unread == 0; });
  for (int i = 0; i < 4; ++i) world.step();
  inflow.stop();
  testing::expect_law(world.pool, 0);
  const Task task = listen(inflow, peer);
  EXPECT_EQ(peer.error, ECANCELED);
  EXPECT_EQ(peer.received, 0U);
  world.end();
}

TEST_P(CoroutineTest, TheInflowGoesWhileItsCoroutineWaits) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = connect(world);
  Peer& other = world.add();
  std::optional<AwaitedInflow> inflow;
  inflow.emplace(*world.receiver, peer.sockets.near.get());
  const Task task = listen(*inflow, peer);
  world.after_data = [&](Peer&) { inflow.reset(); };
  world.step();
  world.speak(peer, 100);
  world.speak(other, 100);
  world.run_until([&] { return other.whole() && peer.ended; });
  EXPECT_EQ(peer.error, ECANCELED);
  world.end();
}

TEST_P(CoroutineTest, CoroutinesAreDestroyedWhileTheyWait) {
  MAKE_WORLD(world, receive_options(4096, 16));
  std::vector<Task> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(listen(*world.receiver, connect(world)));
  world.step();
  for (const auto& peer : world.peers) world.speak(*peer, 5000);
  tasks.clear();
  for (int i = 0; i < 4; ++i) world.step();
  for (const auto& peer : world.peers) EXPECT_EQ(peer->received, 0U);
  world.end();
}

/// Each that receives ends another: its coroutine is destroyed, its inflow stopped or destroyed.
TEST_P(CoroutineTest, CoroutinesEndEachOther) {
  MAKE_WORLD(world, receive_options(512, 64));
  struct Client {
    std::optional<AwaitedInflow> inflow;
    std::optional<Task> task;
  };
  std::vector<Client> clients(60);
  const auto serve = [&](std::size_t self) -> Task {
    while (!(co_await clients[self].inflow->receive()).closed()) {
      const std::size_t other = random_() % clients.size();
      if (other == self) continue;
      const std::uint64_t lot = random_() % 4;
      if (lot == 0) clients[other].task.reset();
      if (lot == 1 && clients[other].inflow) clients[other].inflow->stop();
      if (lot == 2) clients[other].inflow.reset();
    }
  };
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i].inflow.emplace(*world.receiver, connect(world).sockets.near.get());
    clients[i].task.emplace(serve(i));
  }
  for (int i = 0; i < 200; ++i) {
    world.speak(*world.peers[random_() % world.peers.size()], 1 + random_() % 3000);
    world.step();
  }
  clients.clear();
  world.end();
}

/// A wait that whoever has the waiter ends.
struct Pause {
  std::coroutine_handle<>& waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) noexcept { waiter = coroutine; }
  void await_resume() const noexcept {}
};

TEST_P(CoroutineTest, WhatNobodyAwaitsHoldsTheSenderBack) {
  constexpr std::uint32_t kEntries = 16;
  MAKE_WORLD(world, receive_options(1024, kEntries));
  Peer& peer = connect(world);
  std::coroutine_handle<> waiter;
  const auto listen_late = [&]() -> Task {
    AwaitedInflow inflow{*world.receiver, peer.sockets.near.get()};
    co_await Pause{waiter};
    while (!peer.ended) note(peer, co_await inflow.receive());
  };
  const Task task = listen_late();
  for (int i = 0; i < 50; ++i) {
    world.speak(peer, 10'000);
    world.step();
  }
  EXPECT_LE(world.pool.counts().user, AwaitedInflow::kMostKept + kEntries);
  world.finish(peer);
  for (int i = 0; i < 4; ++i) world.step();
  waiter.resume();
  world.run_until([&] { return peer.ended; });
  EXPECT_TRUE(peer.whole()) << peer.received << " of " << peer.sent;
  EXPECT_EQ(peer.error, 0);
  world.end();
}

TEST_P(CoroutineTest, HandlersAndCoroutinesShareALoop) {
  MAKE_WORLD(world, receive_options(4096, 64));
  std::vector<Task> tasks;
  for (int i = 0; i < 20; ++i) {
    const Kind kind = i % 2 == 0 ? Kind::local : Kind::tcp;
    world.add(kind);
    tasks.push_back(listen(*world.receiver, connect(world, kind)));
  }
  for (int i = 0; i < testing::steps(1000); ++i) {
    world.speak(*world.peers[random_() % world.peers.size()], 1 + random_() % 9000);
    if (random_() % 3 == 0) world.step();
  }
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until([&] { return testing::all_ended(world); });
  for (const auto& peer : world.peers) EXPECT_TRUE(peer->whole()) << peer->received << " of " << peer->sent;
  tasks.clear();
  world.end();
}

}  // namespace
}  // namespace weir
