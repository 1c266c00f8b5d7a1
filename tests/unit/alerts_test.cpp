#include <gtest/gtest.h>
#include <weir/alerts.h>
#include <weir/buffer_ring.h>
#include <weir/pool.h>
#include <weir/receiver.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernel/ring.h"
#include "os/clock.h"
#include "pool_testing.h"

// Each kind of alert, met for real; and that of each there are not too many. Linked with a clock of its own.

namespace weir {

namespace {
std::atomic<os::Time> test_time{os::Time(std::chrono::hours(1))};
}  // namespace

os::Time os::now() noexcept { return test_time; }

namespace {

using namespace std::chrono_literals;
using testing::lend_all;
using testing::Ring;
using testing::small_options;
using testing::SocketPair;

constexpr std::size_t kMiB = 1u << 20;

void pass(os::Time::duration time) { test_time = test_time.load() + time; }

struct Told {
  AlertKind kind;
  std::string pool;
  std::string message;
  std::uint64_t suppressed;
};

/// Takes a pool's alerts.
class Sink {
 public:
  Options listening(Options options) {
    options.name = "listened to";
    options.on_alert = [this](const Alert& alert) {
      const std::lock_guard lock(mutex_);
      told_.push_back({alert.kind, std::string(alert.pool), std::string(alert.message), alert.suppressed});
    };
    return options;
  }
  std::vector<Told> told(AlertKind kind) {
    const std::lock_guard lock(mutex_);
    std::vector<Told> of_kind;
    std::copy_if(told_.begin(), told_.end(), std::back_inserter(of_kind),
                 [&](auto& each) { return each.kind == kind; });
    return of_kind;
  }
  /// Waits for the helper thread.
  bool has(AlertKind kind) {
    for (int i = 0; i < 2000 && told(kind).empty(); ++i) std::this_thread::sleep_for(10ms);
    return !told(kind).empty();
  }

 private:
  std::mutex mutex_;
  std::vector<Told> told_;
};

void expect_text(const std::string& text, const char* part) { EXPECT_NE(text.find(part), std::string::npos) << text; }

TEST(Alerts, ExhaustedPool) {
  Sink sink;
  Pool pool(sink.listening(small_options(kMiB)));
  const std::vector<Loan> all = lend_all(pool, 65536);
  const auto told = sink.told(AlertKind::exhausted);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].pool, "listened to");
  expect_text(told[0].message, ("no buffer of 64 KiB is free, of " + std::to_string(all.size())).c_str());
  expect_text(told[0].message, "raise WEIR_BYTES");
}

TEST(Alerts, AreToldEveryTenSecondsWithTheNumberBetween) {
  Sink sink;
  Pool pool(sink.listening(small_options(kMiB)));
  const std::vector<Loan> all = lend_all(pool, 65536);
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(pool.lend(65536));
  pass(9999ms);
  EXPECT_FALSE(pool.lend(65536));
  ASSERT_EQ(sink.told(AlertKind::exhausted).size(), 1U);
  pass(1ms);
  EXPECT_FALSE(pool.lend(65536));
  EXPECT_FALSE(pool.lend(65536));
  pass(10s);
  EXPECT_FALSE(pool.lend(65536));
  const auto told = sink.told(AlertKind::exhausted);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0].suppressed, 0U);
  EXPECT_EQ(told[1].suppressed, 8U);
  EXPECT_EQ(told[2].suppressed, 1U);
}

TEST(Alerts, OfPoolsDoNotHideEachOther) {
  Sink first;
  Sink second;
  Pool pool(first.listening(small_options(kMiB)));
  Pool other(second.listening(small_options(kMiB)));
  lend_all(pool, 65536);
  lend_all(other, 65536);
  EXPECT_EQ(first.told(AlertKind::exhausted).size(), 1U);
  EXPECT_EQ(second.told(AlertKind::exhausted).size(), 1U);
}

TEST(Alerts, ComeFromTheHelperWhereThereIsOne) {
  std::atomic<std::thread::id> by{};
  Options options = small_options(kMiB);
  options.decay_seconds = 3600;
  options.on_alert = [&](const Alert&) { by = std::this_thread::get_id(); };
  Pool pool(options);
  lend_all(pool, 65536);
  for (int i = 0; i < 2000 && by.load() == std::thread::id(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_NE(by.load(), std::thread::id());
  EXPECT_NE(by.load(), std::this_thread::get_id());
}

TEST(Alerts, FailedGrowth) {
  Sink sink;
  Options options = small_options(kMiB);
  options.max_bytes = kMiB;
  options.grow_bytes = kMiB;
  Pool pool(sink.listening(options));
  const std::vector<Loan> all = lend_all(pool, 65536);
  ASSERT_TRUE(sink.has(AlertKind::growth_failed));
  expect_text(sink.told(AlertKind::growth_failed)[0].message, "raise WEIR_MAX_BYTES");
  EXPECT_TRUE(sink.has(AlertKind::exhausted));
}

TEST(Alerts, DegradedMemory) {
  Sink sink;
  Options options = small_options(kMiB);
  options.pages = Pages::huge_1g;
  const Pool pool(sink.listening(options));
  const auto told = sink.told(AlertKind::degraded);
  ASSERT_EQ(told.size(), 1U) << "of 1 MiB there is no page of 1 GiB";
  expect_text(told[0].message, pool.grades()[0].reason.c_str());
}

TEST(Alerts, OfMemoryThatIsAsAskedFor) {
  Sink sink;
  const Pool pool(sink.listening(small_options(kMiB)));
  EXPECT_EQ(sink.told(AlertKind::degraded).empty(), pool.grades()[0].reason.empty());
}

TEST(Alerts, DegradedStrategy) {
  Ring ring;
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  Sink sink;
  Options options = small_options(8 * kMiB);
  options.ring_entries = 8;
  options.recv = Strategy::ring_sized;
  Pool pool(sink.listening(options));
  pass(10s);  // an alert of the pool's own memory is no concern here
  const std::size_t before = sink.told(AlertKind::degraded).size();
  Receiver receiver(pool, ring.get());
  const BufferRing taken(pool, ring.get(), 65, 8, 512);  // the number that its next ring would have
  const SocketPair sockets = SocketPair::local();
  Inflow inflow;
  receiver.start(inflow, sockets.near.get());
  const auto step = [&] {
    while (receiver.turn()) io_uring_submit(&ring.get());
    receiver.complete(ring.complete(), [](Inflow&, const Received&) {});
  };
  const std::string small(10, 's');
  for (int i = 0; i < 1000 && sink.told(AlertKind::degraded).size() == before; ++i) {
    ASSERT_EQ(send(sockets.far.get(), small.data(), small.size(), 0), 10);
    step();
  }
  const auto told = sink.told(AlertKind::degraded);
  ASSERT_GT(told.size(), before);
  expect_text(told.back().message, "a receiver does without a ring: cannot register buffer group 65");
  receiver.stop_all();
  while (receiver.has_inflight()) step();
}

TEST(Alerts, StuckCancel) {
  Ring ring;
  if (!ring.missing().empty()) GTEST_SKIP() << ring.missing();
  Sink sink;
  for (const std::uint32_t idle : {0U, 60'000U}) {
    Options options = small_options(kMiB);
    options.recv = Strategy::poll_recv;
    options.idle_ms = idle;
    Pool pool(sink.listening(options));
    Receiver receiver(pool, ring.get());
    const SocketPair sockets = SocketPair::local();
    Inflow inflow;
    receiver.start(inflow, sockets.near.get());
    receiver.turn();
    io_uring_submit(&ring.get());
    receiver.stop(inflow);
    receiver.turn();  // the cancel is prepared, and nobody submits it
    const std::size_t before = sink.told(AlertKind::stuck_cancel).size();
    pass(9s);
    receiver.turn();
    EXPECT_EQ(sink.told(AlertKind::stuck_cancel).size(), before);
    EXPECT_LE(receiver.next_deadline(), os::now() + 2s);
    for (int i = 0; i < 5; ++i) {
      pass(2s);
      receiver.turn();
    }
    const auto told = sink.told(AlertKind::stuck_cancel);
    ASSERT_EQ(told.size(), before + 1) << "idle_ms " << idle;
    expect_text(told.back().message, ("file " + std::to_string(sockets.near.get())).c_str());
    receiver.stop_all();
    while (receiver.has_inflight()) {
      receiver.turn();
      receiver.complete(ring.complete(), [](Inflow&, const Received&) {});
    }
    pass(20s);
    receiver.turn();
    EXPECT_EQ(sink.told(AlertKind::stuck_cancel).size(), before + 1) << "it has ended";
  }
}

/// Its prediction leads to a second ring, for which there is no group number left.
TEST(Alerts, ARingThatCannotBeHadIsNotTriedForAtEachArming) {
  Ring ring;
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  Sink sink;
  Options options = small_options(4 * kMiB);
  options.recv = Strategy::ring_sized;
  Pool pool(sink.listening(options));
  Receiver receiver(pool, ring.get(), 65535);
  const SocketPair sockets = SocketPair::local();
  Inflow inflow;
  receiver.start(inflow, sockets.near.get());
  const auto step = [&] {
    while (receiver.turn()) io_uring_submit(&ring.get());
    io_uring_submit_and_get_events(&ring.get());
    for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring.get(), &cqe) == 0; io_uring_cqe_seen(&ring.get(), cqe))
      receiver.complete(*cqe, [](Inflow&, const Received&) {});
  };
  const auto arm_again = [&] {
    receiver.pause(inflow);
    for (int i = 0; i < 3; ++i) step();
    receiver.resume(inflow);
    for (int i = 0; i < 3; ++i) step();
  };
  const std::string text(64, 'x');  // much less than what is foretold of one that is not known
  for (int i = 0; i < 200 && sink.told(AlertKind::degraded).empty(); ++i) {
    send(sockets.far.get(), text.data(), text.size(), 0);
    step();
  }
  ASSERT_EQ(sink.told(AlertKind::degraded).size(), 1U);
  expect_text(sink.told(AlertKind::degraded).front().message, "needs group 65536");
  for (int i = 0; i < 5; ++i) arm_again();
  pass(3600s);
  arm_again();
  ASSERT_EQ(sink.told(AlertKind::degraded).size(), 2U) << "it is tried for again after a while";
  EXPECT_EQ(sink.told(AlertKind::degraded).back().suppressed, 0U) << "it was tried for in between";
  receiver.stop_all();
  while (receiver.has_inflight()) step();
}

TEST(Alerts, OfASinkThatThrowsAreSaid) {
  Options options = small_options(kMiB);
  options.on_alert = [](const Alert&) { throw std::runtime_error("no paper"); };
  Pool pool(options);
  ::testing::internal::CaptureStderr();
  lend_all(pool, 65536);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said, "weir: the alert 'exhausted' of pool 'pool' was lost: its sink threw: no paper\n");
}

TEST(Alerts, ASinkMayLend) {
  std::size_t told = 0;
  Pool* lender = nullptr;
  Options options = small_options(kMiB);
  options.on_alert = [&](const Alert& alert) {
    if (alert.kind != AlertKind::exhausted) return;
    ++told;
    EXPECT_FALSE(lender->lend(65536));
  };
  Pool pool(options);
  lender = &pool;
  const std::vector<Loan> all = lend_all(pool, 65536);
  EXPECT_EQ(told, 1U);
}

TEST(Alerts, GoToStandardErrorAsOneLine) {
  Options options = small_options(kMiB);
  options.name = "two\n\"lines\"";
  Pool pool(options);
  ::testing::internal::CaptureStderr();
  lend_all(pool, 65536);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(
      said.find("weir: alert kind=exhausted pool=\"two \\\"lines\\\"\" suppressed=0 message=\"no buffer of 64 KiB"), 0U)
      << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
}

TEST(Alerts, AreOffWhenAskedFor) {
  Options options = small_options(kMiB);
  options.alerts = Alerts::off;
  Pool pool(options);
  ::testing::internal::CaptureStderr();
  lend_all(pool, 65536);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace weir
