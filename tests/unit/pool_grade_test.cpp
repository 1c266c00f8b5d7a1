#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>

#include "os/numa.h"
#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::small_options;

std::size_t bytes_of(const std::vector<Grade>& grades) {
  return std::accumulate(grades.begin(), grades.end(), std::size_t{0},
                         [](std::size_t sum, auto& g) { return sum + g.bytes; });
}

class PoolGrade : public ::testing::TestWithParam<Pages> {};

TEST_P(PoolGrade, EveryRungGivesAWorkingPoolAndSaysWhatItGot) {
  Options options = small_options(16u << 20);
  options.pages = GetParam();
  Pool pool(options);
  const std::vector<Grade> grades = pool.grades();
  EXPECT_EQ(grades.size(), os::memory_nodes().size());
  EXPECT_GE(bytes_of(grades), options.bytes);
  std::set<int> nodes;
  for (const Grade& grade : grades) {
    EXPECT_TRUE(nodes.insert(grade.node).second) << "node " << grade.node << " twice";
    EXPECT_TRUE(grade.populated);
    EXPECT_TRUE(grade.page_bytes == 4096 || grade.page_bytes == 2u << 20);
    EXPECT_TRUE(!grade.huge_tlb || grade.page_bytes == 2u << 20);
    const bool whole = grade.locked && grade.bound && (GetParam() == Pages::small || grade.page_bytes > 4096);
    EXPECT_TRUE(whole || !grade.reason.empty()) << "less than asked, and nothing says why";
  }
  { const auto loans = testing::lend_all(pool, 65536); }
  expect_law(pool, 0);
}

INSTANTIATE_TEST_SUITE_P(Ladder, PoolGrade,
                         ::testing::Values(Pages::automatic, Pages::huge_2m, Pages::transparent, Pages::small));

TEST(PoolGrade, MoreThanAllHugePagesStepsDownWithoutASignal) {
  Options options = small_options(256u << 20);
  options.pages = Pages::huge_2m;
  Pool pool(options);
  for (const Grade& grade : pool.grades()) EXPECT_TRUE(grade.huge_tlb || !grade.reason.empty());
  std::vector<Loan> loans;
  for (int i = 0; i < 2000; ++i) {
    loans.push_back(pool.lend(65536));
    ASSERT_TRUE(loans.back());
    testing::mark(loans.back(), 1);
  }
}

TEST(PoolGrade, StrictTellsWhatIsMissingAndTheFix) {
  Options options = small_options(std::size_t{1} << 38);
  options.pages = Pages::huge_2m;
  options.strict = true;
  try {
    Pool pool(options);
    FAIL() << "256 GiB of huge pages were found";
  } catch (const Error& error) {
    const std::string said = error.what();
    EXPECT_NE(said.find("cannot get "), std::string::npos) << said;
    EXPECT_NE(said.find("of 2 MiB hugetlb on node"), std::string::npos) << said;
    EXPECT_NE(said.find("raise /proc/sys/vm/nr_hugepages by "), std::string::npos) << said;
  }
}

TEST(PoolGrade, SmallerThanAHugePageIsMadeOfSmallPages) {
  Options options = small_options(256 * 1024);
  options.pages = Pages::automatic;
  Pool pool(options);
  for (const Grade& grade : pool.grades()) {
    EXPECT_EQ(grade.page_bytes, 4096U);
    EXPECT_NE(grade.reason.find("no multiple of 2 MiB"), std::string::npos) << grade.reason;
  }
}

TEST(PoolGrade, OddSizesAreRoundedUpAndWhollyUsable) {
  for (const std::size_t bytes : {std::size_t{300} << 10, (std::size_t{5} << 20) + 1}) {
    Pool pool(testing::one_class(bytes, 65536));
    const std::size_t got = bytes_of(pool.grades());
    EXPECT_GE(got, bytes);
    EXPECT_EQ(testing::lend_all(pool, 65536).size(), got / 65536);
  }
}

}  // namespace
}  // namespace weir
