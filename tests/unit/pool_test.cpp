#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::one_class;
using testing::small_options;

static_assert(!std::is_copy_constructible_v<Loan> && !std::is_copy_assignable_v<Loan>);
static_assert(std::is_nothrow_move_constructible_v<Loan> && std::is_nothrow_move_assignable_v<Loan>);
static_assert(sizeof(Loan) == 16);

TEST(Pool, LendsTheSmallestClassThatHolds) {
  Pool pool(small_options());
  const std::vector<std::uint32_t> classes = pool.options().classes;
  std::uint32_t below = 0;
  for (const std::uint32_t bytes : classes) {
    for (const std::uint32_t want : {below + 1, bytes - 1, bytes}) EXPECT_EQ(pool.lend(want).size(), bytes) << want;
    below = bytes;
  }
  EXPECT_EQ(pool.lend(0).size(), classes.front());
  EXPECT_FALSE(pool.lend(classes.back() + 1));
  EXPECT_FALSE(pool.lend(std::size_t{1} << 32));
  EXPECT_FALSE(pool.lend(SIZE_MAX));
  expect_law(pool, 0);
}

TEST(Pool, LendsEveryByteCountOfAllClasses) {
  Pool pool(small_options());
  const std::vector<std::uint32_t>& classes = pool.options().classes;
  for (std::uint32_t want = 0; want <= classes.back(); ++want) {
    const std::uint32_t expected = *std::lower_bound(classes.begin(), classes.end(), want);
    ASSERT_EQ(pool.lend(want).size(), expected) << want;
  }
}

TEST(Pool, OddAndLargeClassesAreFound) {
  Options options = small_options(8u << 20);
  options.classes = {64, 192, 4160, 65536, 65600, 262144, 1u << 20};
  options.slab_bytes = 1u << 20;
  Pool pool(options);
  for (const auto& [want, expected] : {std::pair{1U, 64U},
                                       {64U, 64U},
                                       {65U, 192U},
                                       {193U, 4160U},
                                       {4161U, 65536U},
                                       {65536U, 65536U},
                                       {65537U, 65600U},
                                       {65600U, 65600U},
                                       {65601U, 262144U},
                                       {262145U, 1U << 20},
                                       {1U << 20, 1U << 20}}) {
    EXPECT_EQ(pool.lend(want).size(), expected) << want;
  }
  EXPECT_FALSE(pool.lend((1u << 20) + 1));
  expect_law(pool, 0);
}

TEST(Pool, SmallestLargestClassIsTheEndOfTheTable) {
  Pool pool(one_class(512 * 1024, 512));
  EXPECT_EQ(pool.lend(512).size(), 512U);
  for (const std::size_t bytes : {513U, 65535U, 65536U, 65537U}) EXPECT_FALSE(pool.lend(bytes));
}

TEST(Pool, AlignsToCacheLinesAndPageClassesToPages) {
  Options options = small_options(16u << 20);
  options.classes = {64, 192, 512, 4096, 4160, 12288, 65536};
  options.page_classes = {4096, 12288, 65536};
  Pool pool(options);
  const auto expect_aligned = [](const std::vector<Loan>& loans, std::size_t alignment) {
    for (const Loan& loan : loans) {
      ASSERT_TRUE(loan);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(loan.data()) % alignment, 0U) << loan.size();
    }
  };
  for (const std::uint32_t bytes : options.classes) {
    std::vector<Loan> loans;
    for (int i = 0; i < 10; ++i) loans.push_back(pool.lend(bytes));
    expect_aligned(loans, 64);
  }
  for (const std::uint32_t bytes : options.page_classes) {
    std::vector<Loan> loans;
    for (int i = 0; i < 10; ++i) loans.push_back(pool.lend_pages(bytes));
    expect_aligned(loans, 4096);
    EXPECT_EQ(loans.front().size(), bytes);
  }
  expect_law(pool, 0);
}

TEST(Pool, WholePagesThatNeedNoAlignmentAreColoured) {
  Pool pool(small_options(16u << 20));
  for (const std::uint32_t bytes : {4096U, 8192U, 16384U}) {
    std::vector<Loan> loans = lend_all(pool, bytes);
    std::sort(loans.begin(), loans.end(), [](const Loan& a, const Loan& b) { return a.data() < b.data(); });
    for (std::size_t i = 1; i < loans.size(); ++i) {
      const auto apart = static_cast<std::size_t>(loans[i].data() - loans[i - 1].data());
      ASSERT_TRUE(apart % 4096 != 0 || apart >= bytes + 4096) << bytes << ": neighbours " << apart << " apart";
    }
    loans.clear();
    pool.flush();
  }
}

TEST(Pool, PageLoansAreOfTheSmallestPageClassThatHolds) {
  Pool pool(small_options());
  for (const auto& [want, expected] : {std::pair{std::size_t{0}, 4096U},
                                       {1, 4096U},
                                       {4096, 4096U},
                                       {4097, 16384U},
                                       {16385, 65536U},
                                       {65536, 65536U}}) {
    EXPECT_EQ(pool.lend_pages(want).size(), expected) << want;
  }
  EXPECT_FALSE(pool.lend_pages(65537));
  EXPECT_FALSE(pool.lend_pages(SIZE_MAX));
  Options options = small_options();
  options.page_classes.clear();
  Pool without(options);
  EXPECT_FALSE(without.lend_pages(1));
  expect_law(pool, 0);
  expect_law(without, 0);
}

TEST(Loan, AnEmptyOneIsNothing) {
  Loan loan;
  EXPECT_FALSE(loan);
  EXPECT_EQ(loan.data(), nullptr);
  EXPECT_EQ(loan.size(), 0U);
  EXPECT_TRUE(loan.bytes().empty());
  Loan other = std::move(loan);
  EXPECT_FALSE(other);
}

TEST(Loan, MovesWithoutCountingTwice) {
  Pool pool(small_options());
  Loan first = pool.lend(4096);
  std::byte* const data = first.data();
  Loan second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left must be empty
  EXPECT_EQ(first.size(), 0U);
  EXPECT_EQ(second.data(), data);
  expect_law(pool, 1);
  Loan third = pool.lend(512);
  expect_law(pool, 2);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  expect_law(pool, 1);
  Loan& same = third;
  third = std::move(same);
  EXPECT_EQ(third.data(), data) << "assigned to itself";
  EXPECT_EQ(third.size(), 4096U);
  std::swap(first, third);
  EXPECT_EQ(first.data(), data);
  first = Loan{};
  expect_law(pool, 0);
}

TEST(Loan, MovesBetweenClassesAndPools) {
  Pool one(small_options());
  Pool two(small_options());
  Loan a = one.lend(100);
  Loan b = two.lend(60'000);
  std::swap(a, b);
  EXPECT_EQ(a.size(), 65536U);
  EXPECT_EQ(b.size(), 512U);
  a = std::move(b);
  expect_law(one, 1);
  expect_law(two, 0);
  a = Loan{};
  expect_law(one, 0);
}

TEST(Loan, KeepsItsFirstBytesWhenTruncated) {
  Pool pool(small_options());
  Loan loan = pool.lend(1000);
  EXPECT_EQ(loan.size(), 1024U);
  EXPECT_EQ(loan.bytes().data(), loan.data());
  loan.truncate(7);
  EXPECT_EQ(loan.bytes().size(), 7U);
  loan.truncate(0);
  EXPECT_TRUE(loan) << "a loan of no bytes is a loan";
  loan = Loan{};
  EXPECT_EQ(pool.lend(1000).size(), 1024U) << "the next holder has the whole buffer";
}

TEST(Pool, ExhaustionIsAnAnswerAndPasses) {
  Pool pool(one_class(1u << 20, 16384));
  std::vector<Loan> loans = lend_all(pool, 16384);
  EXPECT_EQ(loans.size(), (1u << 20) / 16384);
  EXPECT_FALSE(pool.lend(1));
  expect_law(pool, loans.size());
  loans.pop_back();
  EXPECT_TRUE(pool.lend(16384)) << "one is back";
  loans.clear();
  expect_law(pool, 0);
  EXPECT_EQ(lend_all(pool, 16384).size(), (1u << 20) / 16384);
}

TEST(Pool, OneClassCanHaveAllTheMemory) {
  Options options = small_options(1u << 20);
  options.classes = {1024, 16384};
  Pool pool(options);
  std::vector<Loan> loans = lend_all(pool, 1024);
  EXPECT_EQ(loans.size(), 1024U);
  EXPECT_FALSE(pool.lend(16384)) << "no slab is left";
  loans.clear();
  expect_law(pool, 0);
}

TEST(Pool, ASmallPoolOfSixtyFourBuffersLendsAllOfThem) {
  Options options = one_class(256 * 1024, 4096);
  options.slab_bytes = 64 * 1024;
  Pool pool(options);
  for (int round = 0; round < 3; ++round) EXPECT_GE(lend_all(pool, 4096).size(), 64U);
  expect_law(pool, 0);
}

TEST(Pool, CountsAreExactWhenQuiescent) {
  Pool pool(small_options());
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().capacity, 0U) << "nothing is cut before it is asked for";
  std::vector<Loan> loans;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    loans.push_back(pool.lend(i * 17));
    ASSERT_EQ(pool.counts().user, i);
    ASSERT_TRUE(pool.counts().law_holds());
  }
  expect_law(pool, 300);
  for (std::uint64_t left = 300; left > 0; --left) {
    std::swap(loans[left / 2], loans.back());
    loans.pop_back();
    ASSERT_EQ(pool.counts().user, left - 1);
    ASSERT_TRUE(pool.counts().law_holds());
  }
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().kernel_ring, 0U);
  EXPECT_EQ(pool.counts().kernel_request, 0U);
}

TEST(Pool, FlushTakesEverythingOutOfTheMagazines) {
  Pool pool(one_class(4u << 20, 4096));
  { const std::vector<Loan> loans = lend_all(pool, 4096); }
  EXPECT_GT(pool.counts().cached, 0U);
  pool.flush();
  EXPECT_EQ(pool.counts().cached, 0U);
  EXPECT_EQ(pool.counts().free, pool.counts().capacity);
  pool.flush();
  expect_law(pool, 0);
  EXPECT_TRUE(pool.lend(1));
}

TEST(Pool, FlushTrimAndAnEmptyLendLeaveWhatTheThreadKeepsOfOtherPools) {
  Pool other(one_class(4u << 20, 4096));
  { const std::vector<Loan> loans = lend_all(other, 4096); }
  const std::uint64_t kept = other.counts().cached;
  ASSERT_GT(kept, 0U);
  Pool pool(one_class(4u << 20, 4096));
  const std::vector<Loan> all = lend_all(pool, 4096);  // until a lend is empty
  pool.flush();
  (void)pool.trim();
  EXPECT_EQ(other.counts().cached, kept);
}

TEST(Pool, FlushWithoutMagazinesIsNothing) {
  Pool pool(small_options());
  pool.flush();
  expect_law(pool, 0);
}

TEST(Counts, AddUpAndKnowTheLaw) {
  Counts sum{.capacity = 15, .free = 1, .cached = 2, .user = 3, .kernel_ring = 4, .kernel_request = 5};
  EXPECT_TRUE(sum.law_holds());
  sum += sum;
  EXPECT_EQ(sum.capacity, 30U);
  EXPECT_EQ(sum.kernel_request, 10U);
  EXPECT_TRUE(sum.law_holds());
  ++sum.user;
  EXPECT_FALSE(sum.law_holds());
}

TEST(Pool, PoolsLiveSideBySide) {
  Pool one(small_options());
  Pool two(one_class(1u << 20, 2048));
  std::vector<Loan> loans = lend_all(two, 1);
  EXPECT_TRUE(one.lend(2048));
  expect_law(one, 0);
  expect_law(two, loans.size());
  loans.clear();
  expect_law(two, 0);
}

TEST(Pool, TheSeventeenthIsRefusedAndNothingIsLost) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Pool>> pools;
    try {
      while (pools.size() < 100) pools.push_back(std::make_unique<Pool>(one_class(256 * 1024, 4096)));
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("16 pools already"), std::string::npos) << error.what();
    }
    EXPECT_EQ(pools.size(), 16U);
    for (const auto& pool : pools) EXPECT_TRUE(pool->lend(1));
  }
}

TEST(Pool, TooManyClassesTogetherAreRefusedAndGivenBack) {
  Options options = small_options(256 * 1024);
  options.slab_bytes = 64 * 1024;
  options.classes.clear();
  for (std::uint32_t i = 1; i <= 120; ++i) options.classes.push_back(64 * i);
  options.receive_bytes = 64;
  for (int round = 0; round < 20; ++round) {
    Pool one(options);
    Pool two(options);
    try {
      Pool three(options);
      FAIL() << "360 classes fit";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("255 size classes together"), std::string::npos) << error.what();
    }
    Pool small(one_class(256 * 1024, 4096));
    EXPECT_EQ(small.lend(1).size(), 4096U);
    EXPECT_EQ(two.lend(64 * 120).size(), 64U * 120);
    expect_law(small, 0);
  }
}

TEST(Pool, WrongOptionsAreRefused) {
  Options options = small_options();
  options.classes = {1024, 512};
  EXPECT_THROW(Pool{options}, Error);
  options = small_options(1000);
  EXPECT_THROW(Pool{options}, Error);
}

TEST(Pool, AFailedConstructionGivesItsRecordBack) {
  Options impossible = small_options(std::size_t{1} << 38);  // reserved, but never populated
  impossible.pages = Pages::huge_2m;
  impossible.strict = true;
  for (int i = 0; i < 40; ++i) EXPECT_THROW(Pool{impossible}, Error);
  Pool pool(small_options());
  EXPECT_TRUE(pool.lend(1));
}

TEST(Pool, ALaterPoolOfTheSameLanesStartsFromZero) {
  for (int round = 0; round < 50; ++round) {
    Pool pool(one_class(1u << 20, round % 2 == 0 ? 4096 : 8192));
    EXPECT_EQ(pool.counts().capacity, 0U);
    EXPECT_EQ(pool.lend(1).size(), round % 2 == 0 ? 4096U : 8192U);
    expect_law(pool, 0);
  }
}

TEST(Pool, KeepsAnyName) {
  Options options = small_options();
  for (const std::string& name : {std::string(), std::string("proxy"), std::string(5000, 'n')}) {
    options.name = name;
    Pool pool(options);
    EXPECT_EQ(pool.options().name, name);
  }
}

}  // namespace
}  // namespace weir
