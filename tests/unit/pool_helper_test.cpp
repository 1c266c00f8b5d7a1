#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bell.h"
#include "growing_pool.h"
#include "os/numa.h"
#include "pool_limits.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

// The pool's helper thread grows the pool and shrinks it.

namespace weir {
namespace {

using testing::expect_law;
using testing::growing;
using testing::kKiB;
using testing::kMiB;
using testing::lend_all;
using testing::mapped_bytes;
using testing::nodes;
using testing::one_class;
using testing::soon;
using namespace std::chrono_literals;

/// Threads of this process by that name.
std::vector<std::filesystem::path> threads_named(const std::string& wanted) {
  std::vector<std::filesystem::path> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    if (name == wanted) found.push_back(task.path());
  }
  return found;
}

TEST(Helper, IsThereOnlyWhenItIsNeededAndEndsWithThePool) {
  {
    Options options = growing(0);
    const Pool pool(options);
    EXPECT_TRUE(threads_named("weir-grow").empty());
  }
  const auto expect_one = [](const std::function<void(Options&)>& change) {
    Options options = growing(0);
    change(options);
    {
      const Pool pool(options);
      EXPECT_TRUE(soon([] { return threads_named("weir-grow").size() == 1; }));
    }
    EXPECT_TRUE(threads_named("weir-grow").empty());
  };
  expect_one([](Options& o) { o.grow_bytes = kMiB; });
  expect_one([](Options& o) { o.decay_seconds = 1; });
  expect_one([](Options& o) { o.on_exhausted = [] {}; });
  expect_one([](Options& o) { o.on_low_water = [] {}; });
}

TEST(Helper, TakesNoSignals) {
  const Pool pool(growing(kMiB));
  ASSERT_TRUE(soon([] { return threads_named("weir-grow").size() == 1; }));
  std::ifstream status(threads_named("weir-grow").front() / "status");
  std::string blocked;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("SigBlk:")) blocked = line.substr(line.find_last_of(" \t") + 1);
  }
  // All but SIGKILL (9) and SIGSTOP (19), and the two that glibc keeps for itself (32, 33).
  constexpr std::uint64_t kGlibc = 3ULL << 31;
  constexpr std::uint64_t kNever = 1ULL << 8 | 1ULL << 18;
  EXPECT_EQ(std::stoull(blocked, nullptr, 16) | kGlibc, ~kNever) << blocked;
}

TEST(Helper, SleepsWhileNothingIsShort) {
  Pool pool(growing(kMiB));
  ASSERT_TRUE(soon([] { return threads_named("weir-grow").size() == 1; }));
  const auto switches = [] {
    std::ifstream status(threads_named("weir-grow").front() / "status");
    std::string key;
    std::size_t count = 0;
    while (status >> key && key != "voluntary_ctxt_switches:") continue;
    status >> count;
    return count;
  };
  std::this_thread::sleep_for(50ms);
  const std::size_t before = switches();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.lend(1));
  std::this_thread::sleep_for(100ms);
  EXPECT_LE(switches(), before + 1);
}

TEST(Growth, ByOneStepForEachNeed) {
  Pool pool(growing(kMiB));
  NodeLane lane = pool.lane(1, os::memory_nodes().front());
  const std::size_t start = mapped_bytes(pool);
  std::vector<Loan> loans;
  for (std::size_t step = 1; step <= 3; ++step) {
    while (loans.size() < (1 + step) * 16) loans.push_back(lane.lend());  // all that there are
    ASSERT_TRUE(loans.back());
    ASSERT_EQ(mapped_bytes(pool), start + (step - 1) * kMiB) << "it grew before it was needed";
    Loan one_more;
    ASSERT_TRUE(soon([&] { return bool{one_more = lane.lend()}; }));
    loans.push_back(std::move(one_more));
    std::this_thread::sleep_for(30ms);
    ASSERT_EQ(mapped_bytes(pool), start + step * kMiB) << "it grew by more than was needed";
  }
  expect_law(pool, loans.size());
}

TEST(Growth, WakesWhoeverWaits) {
  Pool pool(growing(kMiB));
  detail::Depot& depot = pool.state().home_depot(0);
  std::vector<Loan> loans;
  testing::Bell bell;
  for (int round = 0; round < 3; ++round) {
    while (!depot.enqueue_waiter(bell)) loans.push_back(pool.state().lend_from(depot).lend());
    EXPECT_TRUE(soon([&] { return bell.rang(); }));
    depot.remove_waiter(bell);
  }
  expect_law(pool, loans.size());
}

TEST(Growth, EndsAtTheMaximumAndSaysSoOnce) {
  ::testing::internal::CaptureStderr();
  std::string said;
  {
    Options options = growing(3 * kMiB);
    options.name = "small";
    options.max_bytes = 7 * kMiB * nodes();
    Pool pool(options);
    std::vector<Loan> loans;
    const auto lend = [&] {
      while (Loan loan = pool.lend(1)) loans.push_back(std::move(loan));
      return mapped_bytes(pool) == options.max_bytes;
    };
    EXPECT_TRUE(soon(lend)) << mapped_bytes(pool);
    for (int i = 0; i < 300; ++i) {
      if (i % 3 == 0) loans.pop_back();
      lend();
      std::this_thread::sleep_for(1ms);
      ASSERT_LE(mapped_bytes(pool), options.max_bytes);
    }
    said = ::testing::internal::GetCapturedStderr();
    expect_law(pool, loans.size());
  }
  EXPECT_NE(said.find("weir: alert kind=growth_failed pool=\"small\" "), std::string::npos) << said;
  EXPECT_NE(said.find("raise WEIR_MAX_BYTES"), std::string::npos) << said;
  EXPECT_EQ(said.find("growth_failed"), said.rfind("growth_failed")) << said;
}

TEST(Growth, IsTriedAgainWhenTheBudgetIsThereAgain) {
  ::testing::internal::CaptureStderr();
  Options options = one_class(2 * kMiB, 65536);
  options.nodes = {os::memory_nodes().front()};
  options.slab_bytes = 64 * kKiB;
  options.max_bytes = 4 * kMiB;
  options.grow_bytes = 2 * kMiB;
  Pool pool(options);
  pool.reserve(2 * kMiB);
  std::vector<Loan> loans = lend_all(pool, 1);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(mapped_bytes(pool), 4 * kMiB);
  std::sort(loans.begin(), loans.end(), [](const Loan& a, const Loan& b) { return a.data() < b.data(); });
  loans.resize(loans.size() / 2);
  ASSERT_EQ(pool.trim(), 2 * kMiB);
  EXPECT_FALSE(pool.lend(1)) << "all that is left is lent";
  EXPECT_TRUE(soon([&] { return mapped_bytes(pool) == 4 * kMiB; })) << "the back-off does not last";
  EXPECT_TRUE(pool.lend(1));
  ::testing::internal::GetCapturedStderr();
}

TEST(Growth, ComesBeforeTheLastSlabIsTaken) {
  Options options = growing(kMiB);
  options.low_water_bytes = kMiB * nodes();
  Pool pool(options);
  std::vector<Loan> loans;
  NodeLane lane = pool.lane(1, os::memory_nodes().front());
  const detail::Count& refused = detail::segment().lanes[pool.state().home_depot(0).lane_index()].empty;
  const std::uint64_t before = refused;  // of pools before it
  for (int i = 0; i < 17; ++i) {         // of 32: less than half of the node is free
    loans.push_back(lane.lend());
    ASSERT_TRUE(loans.back());
  }
  EXPECT_TRUE(soon([&] { return mapped_bytes(pool) == (2 * nodes() + 1) * kMiB; })) << mapped_bytes(pool);
  EXPECT_EQ(refused, before) << "nobody was refused";
}

/// Memory for a ring that is larger than a step and a slab, however small both are.
TEST(Growth, IsAsLargeAsWhatWasRefused) {
  Options options = one_class(kMiB * nodes(), 1024);
  options.slab_bytes = 64 * kKiB;
  options.max_bytes = 16 * kMiB * nodes();
  options.grow_bytes = 64 * kKiB;
  Pool pool(options);
  const std::vector<Loan> loans = lend_all(pool, 1024);
  const std::size_t before = mapped_bytes(pool);
  std::byte* pages = nullptr;
  EXPECT_TRUE(soon([&] { return (pages = pool.state().take_pages(512 * kKiB)) != nullptr; }));
  EXPECT_LE(mapped_bytes(pool), before + 4 * kMiB * nodes()) << "it grew without need";
  if (pages != nullptr) pool.state().give_pages(pages, 512 * kKiB);
}

TEST(Growth, UnderAllThreadsLendsWhatTheMaximumAllows) {
  Options options = growing(kMiB);
  options.decay_seconds = 1;
  options.classes = {1024, 4096, 65536};
  Pool pool(options);
  std::atomic<int> wrong{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (unsigned round = 0; !stop; ++round) {
        std::vector<Loan> loans(1 + round % 400);
        const std::size_t lent = pool.lend_many((round * 7919) % 65536, loans);
        for (std::size_t j = 0; j < lent; ++j) loans[j].bytes().back() = loans[j].bytes().front() = std::byte(i);
        for (std::size_t j = 0; j < lent; ++j) wrong += loans[j].bytes().back() != std::byte(i);
        if (round % 5 == 0) pool.flush();
      }
    });
  }
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 400; ++i) {
    std::this_thread::sleep_for(2ms);
    ASSERT_LE(mapped_bytes(pool), options.max_bytes);
    if (i % 50 == 0) pool.trim();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
}

/// Grown to 6 MiB a node.
class Decay : public ::testing::Test {
 protected:
  static Options options() {
    Options options = growing(0);
    options.decay_seconds = 1;
    return options;
  }
  Decay() {
    for (int i = 0; i < 2; ++i) pool_.reserve(2 * kMiB * nodes());
  }
  Pool pool_{options()};
};

TEST_F(Decay, UnmapsWhatWasUnusedForSoLong) {
  std::vector<Loan> loans = lend_all(pool_, 1);
  const auto dropped = std::chrono::steady_clock::now();
  loans.clear();
  pool_.flush();
  ASSERT_EQ(mapped_bytes(pool_), 6 * kMiB * nodes());
  ASSERT_TRUE(soon([&] { return mapped_bytes(pool_) < 6 * kMiB * nodes(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - dropped, 1s) << "not before its time";
  ASSERT_TRUE(soon([&] { return mapped_bytes(pool_) == 2 * kMiB * nodes(); }));
  expect_law(pool_, 0);
}

TEST_F(Decay, LeavesWhatIsUsedNowAndThen) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point used = Clock::now();
  Clock::time_point end = used + 2500ms;
  std::size_t least = mapped_bytes(pool_);
  while (used < end) {
    lend_all(pool_, 1).clear();
    pool_.flush();
    std::this_thread::sleep_for(100ms);
    if (Clock::now() - used < 900ms) {
      least = std::min(least, mapped_bytes(pool_));
    } else {  // the machine stood still, so that the pool was rightly taken for unused: it begins again
      while (mapped_bytes(pool_) < 6 * kMiB * nodes()) pool_.reserve(2 * kMiB * nodes());
      end = Clock::now() + 2500ms;
    }
    used = Clock::now();
  }
  EXPECT_EQ(least, 6 * kMiB * nodes());
}

TEST_F(Decay, LeavesWhatABufferIsIn) {
  std::vector<Loan> loans = lend_all(pool_, 1);
  std::sort(loans.begin(), loans.end(), [](const Loan& a, const Loan& b) { return a.data() < b.data(); });
  Loan kept = std::move(loans.back());
  testing::mark(kept, 7);
  loans.clear();
  pool_.flush();
  EXPECT_TRUE(soon([&] { return mapped_bytes(pool_) == 2 * (nodes() + 1) * kMiB; })) << mapped_bytes(pool_);
  std::this_thread::sleep_for(1300ms);
  EXPECT_EQ(mapped_bytes(pool_), 2 * (nodes() + 1) * kMiB);
  EXPECT_TRUE(testing::is_marked(kept, 7));
  expect_law(pool_, 1);
}

}  // namespace
}  // namespace weir
