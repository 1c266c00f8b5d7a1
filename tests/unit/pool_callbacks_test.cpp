#include <gtest/gtest.h>
#include <unistd.h>
#include <weir/pool.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "growing_pool.h"
#include "pool_limits.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

// The pool's helper thread calls back: memory runs low, or there is none left.

namespace weir {
namespace {

using testing::growing;
using testing::kMiB;
using testing::lend_all;
using testing::mapped_bytes;
using testing::nodes;
using testing::soon;
using namespace std::chrono_literals;

struct Calls {
  std::atomic<int> low{0};
  std::atomic<int> exhausted{0};
  std::atomic<pid_t> thread{0};

  Options listening(Options options) {
    options.on_low_water = [this] { note(low); };
    options.on_exhausted = [this] { note(exhausted); };
    return options;
  }
  void note(std::atomic<int>& count) {
    thread = gettid();
    ++count;
  }
};

TEST(Callbacks, ExhaustedIsToldOnceUntilItWasOver) {
  Calls calls;
  Pool pool(calls.listening(growing(0)));
  std::vector<Loan> loans = lend_all(pool, 1);
  EXPECT_TRUE(soon([&] { return calls.exhausted == 1; }));
  EXPECT_NE(calls.thread, gettid());
  const auto end = std::chrono::steady_clock::now() + 2500ms;
  while (std::chrono::steady_clock::now() < end) {
    EXPECT_FALSE(pool.lend(1));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(calls.exhausted, 1) << "it is still exhausted";
  EXPECT_TRUE(soon([&] {  // the helper must have looked meanwhile, which a busy machine may put off
    loans.clear();
    std::this_thread::sleep_for(2500ms);
    loans = lend_all(pool, 1);
    std::this_thread::sleep_for(200ms);
    return calls.exhausted >= 2;
  }));
  EXPECT_EQ(calls.low, 0) << "there is no mark";
}

TEST(Callbacks, AClassAtItsMaximumIsExhausted) {
  Calls calls;
  Options options = calls.listening(growing(kMiB));
  options.class_max_bytes = {{65536, kMiB * nodes()}};
  Pool pool(options);
  const std::vector<Loan> loans = lend_all(pool, 1);
  EXPECT_TRUE(soon([&] { return calls.exhausted == 1; }));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(mapped_bytes(pool), options.bytes) << "more memory would not help";
}

TEST(Callbacks, LowWaterIsToldOnceUntilItWasOver) {
  Calls calls;
  Options options = calls.listening(growing(0));
  options.low_water_bytes = kMiB * nodes();
  Pool pool(options);
  std::vector<Loan> loans;
  const auto lend_most = [&] {
    for (std::size_t i = 0; i < 20 * nodes(); ++i) loans.push_back(pool.lend(1));
  };
  for (std::size_t i = 0; i < 14 * nodes(); ++i) loans.push_back(pool.lend(1));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(calls.low, 0);
  loans.clear();
  lend_most();
  EXPECT_TRUE(soon([&] { return calls.low == 1; }));
  for (int i = 0; i < 200; ++i) {
    loans.pop_back();
    loans.push_back(pool.lend(1));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(calls.low, 1);
  EXPECT_TRUE(soon([&] {  // the helper must have looked meanwhile, which a busy machine may put off
    loans.clear();
    pool.trim();
    std::this_thread::sleep_for(1500ms);
    lend_most();
    std::this_thread::sleep_for(200ms);
    return calls.low >= 2;
  }));
  EXPECT_EQ(calls.exhausted, 0);
}

TEST(Callbacks, LowWaterIsNotToldWhenGrowingHelps) {
  Calls calls;
  Options options = calls.listening(growing(kMiB));
  options.low_water_bytes = kMiB * nodes();
  Pool pool(options);
  std::vector<Loan> loans;
  while (mapped_bytes(pool) < 6 * kMiB * nodes()) {
    loans.push_back(pool.lend(1));
    ASSERT_TRUE(loans.back());
    ASSERT_TRUE(soon([&] { return pool.state().free_bytes() >= options.low_water_bytes; }));
  }
  EXPECT_EQ(calls.low, 0);
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(soon([&] {
    loans.push_back(pool.lend(1));
    return calls.low == 1;
  })) << "at the maximum";
  ::testing::internal::GetCapturedStderr();
}

/// Growth that was refused is tried again later and later; whoever listens does not wait for that.
TEST(Callbacks, LowWaterIsToldAgainAtTheMaximum) {
  Calls calls;
  Options options = calls.listening(growing(kMiB));
  options.alerts = Alerts::off;
  options.max_bytes = options.bytes;
  options.low_water_bytes = kMiB * nodes();
  Pool pool(options);
  std::vector<Loan> loans;
  const auto lend_most = [&] {
    for (std::size_t i = 0; i < 20 * nodes(); ++i) loans.push_back(pool.lend(1));  // of 32 a node
  };
  lend_most();
  EXPECT_TRUE(soon([&] { return calls.low == 1; }));
  std::this_thread::sleep_for(1600ms);  // the next try is in 1.5 s
  EXPECT_EQ(calls.low, 1);
  EXPECT_TRUE(soon([&] {  // the helper must have looked meanwhile, which a busy machine may put off
    loans.clear();
    (void)pool.trim();
    std::this_thread::sleep_for(1200ms);
    lend_most();
    std::this_thread::sleep_for(200ms);
    return calls.low >= 2;
  }));
  EXPECT_EQ(calls.exhausted, 0);
}

TEST(Callbacks, MayCallThePool) {
  std::atomic<Pool*> pool{nullptr};
  std::atomic<bool> grown{false};
  Options options = growing(0);
  options.on_exhausted = [&] {
    pool.load()->flush();
    pool.load()->reserve(2 * kMiB * nodes());
    (void)pool.load()->trim();
    (void)pool.load()->lend(1);
    pool.load()->reserve(2 * kMiB * nodes());
    grown = true;
  };
  const auto owner = std::make_unique<Pool>(options);
  pool = owner.get();
  std::vector<Loan> loans = lend_all(*owner, 1);
  EXPECT_TRUE(soon([&] { return grown.load(); }));
  EXPECT_TRUE(owner->lend(1));
}

}  // namespace
}  // namespace weir
