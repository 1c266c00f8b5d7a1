#include "receive/kept_loans.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>

#include "pool_testing.h"
#include "seed.h"

namespace weir::detail {
namespace {

TEST(KeptLoans, ComeBackInOrderFromManyLists) {
  Pool pool(testing::one_class(1u << 20, 512));
  KeptLoans kept;
  std::array<KeptLoans::List, 5> lists;
  std::array<std::deque<std::byte*>, 5> expected;
  std::mt19937_64 random{testing::seed()};
  for (int i = 0; i < 3000; ++i) {
    const std::size_t which = random() % lists.size();
    if (random() % 2 == 0 && expected[which].size() < 50) {
      Loan loan = pool.lend(512);
      ASSERT_TRUE(loan);
      expected[which].push_back(loan.data());
      ASSERT_TRUE(kept.push(lists[which], std::move(loan)));
    } else if (!expected[which].empty()) {
      EXPECT_EQ(kept.pop(lists[which]).data(), expected[which].front());
      expected[which].pop_front();
    }
    ASSERT_EQ(lists[which].empty(), expected[which].empty());
  }
  for (KeptLoans::List& list : lists) {
    kept.clear(list);
    EXPECT_TRUE(list.empty());
  }
  testing::expect_law(pool, 0);
}

}  // namespace
}  // namespace weir::detail
