#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "pool_testing.h"

// The pool against a model: the set of addresses that are lent. Runs with a seed of its own each time, which
// it prints on failure; TEST_SEED repeats a run.

namespace weir {
namespace {

using testing::expect_law;

std::uint64_t seed() {
  const char* given = std::getenv("TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

class Model {
 public:
  Model(Pool& pool, std::uint64_t seed) : pool_(pool), random_(seed) {}

  void run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) step();
  }
  std::size_t size() const { return lent_.size(); }
  void drop_all() { lent_.clear(); }

 private:
  struct Lent {
    Loan loan;
    std::uint8_t mark;
  };

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  void step() {
    // Tides: long spells in which the pool fills up, and others in which it drains.
    const bool rising = ++steps_ / 4096 % 2 == 0;
    if (pick(100) < (rising ? 60U : 40U)) {
      lend();
    } else if (!lent_.empty()) {
      drop();
    }
    if (pick(1000) == 0) pool_.flush();
    if (pick(20'000) == 0) drop_all();
  }

  void lend() {
    const auto& classes = pool_.options().classes;
    const std::size_t want = pick(8) == 0 ? pick(classes.back() + 2) : pick(3000);
    const auto size_class = std::lower_bound(classes.begin(), classes.end(), want);
    Loan loan = pool_.lend(want);
    if (!loan) return;
    ASSERT_NE(size_class, classes.end()) << "nothing holds " << want;
    ASSERT_EQ(loan.size(), *size_class);
    expect_apart(loan);
    const auto mark = static_cast<std::uint8_t>(pick(256));
    loan.bytes().front() = loan.bytes().back() = std::byte{mark};
    std::byte* const where = loan.data();
    lent_.emplace(where, Lent{std::move(loan), mark});
  }

  /// No byte of it is lent already.
  void expect_apart(const Loan& loan) {
    const auto after = lent_.lower_bound(loan.data());
    ASSERT_TRUE(after == lent_.end() || loan.data() + loan.size() <= after->first);
    if (after == lent_.begin()) return;
    const auto before = std::prev(after);
    ASSERT_LE(before->first + before->second.loan.size(), loan.data());
  }

  void drop() {
    auto victim = lent_.lower_bound(lent_.begin()->first +
                                    pick(static_cast<std::uint64_t>(lent_.rbegin()->first - lent_.begin()->first + 1)));
    ASSERT_EQ(victim->second.loan.bytes().front(), std::byte{victim->second.mark});
    ASSERT_EQ(victim->second.loan.bytes().back(), std::byte{victim->second.mark});
    lent_.erase(victim);
  }

  Pool& pool_;
  std::mt19937_64 random_;
  std::map<std::byte*, Lent> lent_;
  std::uint64_t steps_ = 0;
};

TEST(PoolModel, AgreesOnOneThread) {
  const std::uint64_t first = seed();
  SCOPED_TRACE("TEST_SEED=" + std::to_string(first));
  Pool pool(testing::small_options(2u << 20));
  Model model(pool, first);
  for (int part = 0; part < 40 && !HasFailure(); ++part) {
    model.run(10'000);
    expect_law(pool, model.size());
  }
  model.drop_all();
  expect_law(pool, 0);
}

TEST(PoolModel, AgreesOnSeveralThreads) {
  const std::uint64_t first = seed();
  SCOPED_TRACE("TEST_SEED=" + std::to_string(first));
  Pool pool(testing::small_options(2u << 20));
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, seed = first + i] { Model(pool, seed).run(60'000); });
  }
  for (std::thread& thread : threads) thread.join();
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
