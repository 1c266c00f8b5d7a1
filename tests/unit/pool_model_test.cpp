#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "pool_testing.h"
#include "seed.h"

// The pool against a model: the set of addresses that are lent, and what was written there. Every way to lend, to drop
// and to change the pool's memory is taken at random.

namespace weir {
namespace {

using testing::expect_law;

class Model {
 public:
  Model(Pool& pool, std::uint64_t seed) : pool_(pool), random_(seed) {}

  void run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) step();
  }
  std::size_t size() const { return lent_.size(); }
  void drop_all() {
    for (auto& [where, lent] : lent_) adopt(lent);
    lent_.clear();
  }

 private:
  struct Lent {
    Loan loan;  ///< empty while the buffer is released
    std::byte* data;
    std::uint32_t size;
    std::uint64_t mark;
  };
  using Place = std::map<std::byte*, Lent>::iterator;

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  std::size_t pick_size() { return pick(8) == 0 ? pick(pool_.options().classes.back() + 2) : pick(3000); }

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
    if (pick(10'000) == 0) grow();
    if (pick(5000) == 0) pool_.trim();
  }

  void lend() {
    const std::uint64_t how = pick(20);
    const std::size_t want = pick_size();
    if (how < 12) return add(pool_.lend(want), want, pool_.options().classes, 64);
    if (how < 15) return add(pool_.lane(want).lend(), want, pool_.options().classes, 64);
    if (how < 18) return add(pool_.lend_pages(want), want, pool_.options().page_classes, 4096);
    std::vector<Loan> loans(pick(pick(10) == 0 ? 200 : 20));
    const std::size_t count = pool_.lend_many(want, loans);
    for (std::size_t i = 0; i < loans.size(); ++i) {
      ASSERT_EQ(bool{loans[i]}, i < count);
      add(std::move(loans[i]), want, pool_.options().classes, 64);
    }
  }

  void add(Loan loan, std::size_t want, const std::vector<std::uint32_t>& classes, std::size_t alignment) {
    if (!loan) return;
    const auto size_class = std::lower_bound(classes.begin(), classes.end(), want);
    ASSERT_NE(size_class, classes.end()) << "nothing holds " << want;
    ASSERT_EQ(loan.size(), *size_class);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(loan.data()) % alignment, 0U);
    Lent lent{std::move(loan), nullptr, *size_class, random_()};
    lent.data = lent.loan.data();
    expect_apart(lent);
    for (std::byte* end : ends(lent)) std::memcpy(end, &lent.mark, sizeof lent.mark);
    std::byte* const where = lent.data;
    lent_.emplace(where, std::move(lent));
  }

  /// No byte of it is lent already.
  void expect_apart(const Lent& lent) {
    const auto after = lent_.lower_bound(lent.data);
    ASSERT_TRUE(after == lent_.end() || lent.data + lent.size <= after->first);
    if (after == lent_.begin()) return;
    const auto before = std::prev(after);
    ASSERT_LE(before->first + before->second.size, lent.data);
  }

  static std::array<std::byte*, 2> ends(const Lent& lent) {
    return {lent.data, lent.data + lent.size - sizeof lent.mark};
  }

  void drop() {
    const std::uint64_t how = pick(20);
    if (how < 14) {
      const Loan dropped = take(any());
    } else if (how < 18) {
      Lent& lent = any()->second;
      if (lent.loan) {
        ASSERT_EQ(lent.loan.release(), lent.data);
      } else {
        adopt(lent);
      }
    } else {
      std::vector<Loan> loans;
      for (std::uint64_t i = pick(60); i > 0 && !lent_.empty(); --i) loans.push_back(take(any()));
      drop_many(loans);
      for (const Loan& loan : loans) ASSERT_FALSE(loan);
    }
  }

  Place any() {
    const auto span = static_cast<std::uint64_t>(lent_.rbegin()->first - lent_.begin()->first);
    return lent_.lower_bound(lent_.begin()->first + pick(span + 1));
  }

  Loan take(Place victim) {
    Lent& lent = victim->second;
    for (std::byte* end : ends(lent)) EXPECT_EQ(std::memcmp(end, &lent.mark, sizeof lent.mark), 0) << lent.size;
    adopt(lent);
    Loan loan = std::move(lent.loan);
    lent_.erase(victim);
    return loan;
  }

  void adopt(Lent& lent) {
    if (lent.loan) return;
    lent.loan = pool_.adopt(lent.data);
    EXPECT_EQ(lent.loan.size(), lent.size);
  }

  void grow() {
    try {
      pool_.reserve((1 + pick(2)) * (2u << 20));
    } catch (const Error&) {
      pool_.trim();  // the budget is spent
    }
    std::size_t mapped = 0;
    for (const Grade& grade : pool_.grades()) mapped += grade.bytes;
    ASSERT_LE(mapped, pool_.options().max_bytes);
  }

  Pool& pool_;
  std::mt19937_64 random_;
  std::map<std::byte*, Lent> lent_;
  std::uint64_t steps_ = 0;
};

Options growing_options() {
  Options options = testing::small_options(2u << 20);
  options.classes = {64, 192, 512, 1024, 1536, 2048, 4096, 9216, 16384, 65536};
  options.max_bytes = 12u << 20;
  options.class_max_bytes = {{1536, 4u << 20}};
  return options;
}

TEST(PoolModel, AgreesOnOneThread) {
  const std::uint64_t first = testing::seed();
  Pool pool(growing_options());
  Model model(pool, first);
  for (int part = 0; part < 40 && !HasFailure(); ++part) {
    model.run(testing::steps(80'000));
    expect_law(pool, model.size());
  }
  model.drop_all();
  expect_law(pool, 0);
  pool.trim();
  EXPECT_EQ(pool.counts().capacity, 0U);
}

TEST(PoolModel, AgreesOnSeveralThreads) {
  const std::uint64_t first = testing::seed();
  Options options = growing_options();
  options.grow_bytes = 1u << 20;
  options.decay_seconds = 1;
  Pool pool(options);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, seed = first + i] {
      Model model(pool, seed);
      model.run(testing::steps(300'000));
      model.drop_all();
    });
  }
  for (std::thread& thread : threads) thread.join();
  expect_law(pool, 0);
  pool.trim();
  EXPECT_EQ(pool.counts().capacity, 0U);
}

/// Batches on their way from those who lend to those who drop.
class Belt {
 public:
  void put(std::vector<Loan> batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return batches_.size() < 16; });
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  std::vector<Loan> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !batches_.empty(); });
    std::vector<Loan> batch = std::move(batches_.front());
    batches_.pop_front();
    changed_.notify_all();
    return batch;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<Loan>> batches_;
};

TEST(PoolModel, LentHereAndDroppedThereInVolume) {
  constexpr unsigned kPairs = 2;
  const int batches = testing::steps(20'000);
  Pool pool(testing::small_options(8u << 20));
  Belt belt;
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> moved{0};
  std::vector<std::thread> threads;
  for (unsigned pair = 0; pair < kPairs; ++pair) {
    threads.emplace_back([&, pair] {
      std::mt19937_64 random(pair);
      for (int i = 0; i < batches; ++i) {
        std::vector<Loan> batch(1 + random() % 64);
        const std::size_t bytes = 64 + random() % 4000;
        batch.resize(pool.lend_many(bytes, batch));
        for (const Loan& loan : batch) {
          const auto address = reinterpret_cast<std::uintptr_t>(loan.data());
          std::memcpy(loan.data(), &address, sizeof address);
        }
        belt.put(std::move(batch));
      }
    });
    threads.emplace_back([&, pair] {
      for (int i = 0; i < batches; ++i) {
        std::vector<Loan> batch = belt.take();
        for (const Loan& loan : batch) {
          const auto address = reinterpret_cast<std::uintptr_t>(loan.data());
          wrong += std::memcmp(loan.data(), &address, sizeof address) != 0;
        }
        moved += batch.size();
        if ((i + static_cast<int>(pair)) % 2 == 0) drop_many(batch);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(moved, static_cast<std::uint64_t>(batches) * kPairs * 16) << "most lends found nothing";
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().cached, 0U);
}

}  // namespace
}  // namespace weir
