#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>
#include <string>

#include "giant_pages.h"
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
  {
    const auto loans = testing::lend_all(pool, 65536);
    for (const Loan& loan : loans) testing::mark(loan, 1);
  }
  expect_law(pool, 0);
}

INSTANTIATE_TEST_SUITE_P(Ladder, PoolGrade,
                         ::testing::Values(Pages::automatic, Pages::huge_1g, Pages::huge_2m, Pages::transparent,
                                           Pages::small));

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
    EXPECT_NE(said.find("/hugepages-2048kB/nr_hugepages by "), std::string::npos) << said;
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

/// Numbers of "0-2,4".
std::set<int> numbers_of(std::istream& list) {
  std::set<int> numbers;
  for (std::string part; std::getline(list >> std::ws, part, ',');) {
    const std::size_t dash = part.find('-');
    const int last = std::stoi(dash == std::string::npos ? part : part.substr(dash + 1));
    for (int number = std::stoi(part); number <= last; ++number) numbers.insert(number);
  }
  return numbers;
}

/// The nodes that have memory and are allowed, by the kernel's own lists.
std::set<int> allowed_nodes() {
  std::ifstream has_memory("/sys/devices/system/node/has_memory");
  const std::set<int> with_memory = numbers_of(has_memory);
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("Mems_allowed_list:")) continue;
    std::istringstream list(line.substr(line.find(':') + 1));
    std::set<int> nodes = numbers_of(list);
    std::erase_if(nodes, [&](int node) { return !with_memory.contains(node); });
    return nodes;
  }
  return {};
}

TEST(PoolGrade, TheNodesAreThoseThatTheCpusetAllows) {
  const std::set<int> allowed = allowed_nodes();
  if (allowed.empty()) GTEST_SKIP() << "the kernel has no list of nodes";
  Pool pool(small_options());
  std::set<int> nodes;
  for (const Grade& grade : pool.grades()) {
    nodes.insert(grade.node);
    EXPECT_TRUE(grade.bound || !grade.reason.empty());
  }
  EXPECT_EQ(nodes, allowed);
}

/// Explicit huge pages that are there are what a pool gets, on every kernel.
TEST(PoolGrade, HugePagesThatAreFreeOnEachNodeAreUsed) {
  std::size_t least = SIZE_MAX;
  for (const int node : os::memory_nodes()) {
    std::size_t pages = 0;
    std::ifstream("/sys/devices/system/node/node" + std::to_string(node) +
                  "/hugepages/hugepages-2048kB/free_hugepages") >>
        pages;
    least = std::min(least, pages);
  }
  if (least < 2) GTEST_SKIP() << "a node has no two free huge pages: run it in a guest with --hugepages 32";
  Options options = small_options(os::memory_nodes().size() * (4u << 20));
  options.pages = Pages::huge_2m;
  options.strict = true;
  Pool pool(options);
  for (const Grade& grade : pool.grades()) {
    EXPECT_TRUE(grade.huge_tlb && grade.populated && grade.locked && grade.bound) << grade.reason;
    EXPECT_EQ(grade.page_bytes, 2u << 20);
  }
  std::vector<Loan> loans = testing::lend_all(pool, 65536);
  for (const Loan& loan : loans) testing::mark(loan, 1);
}

/// The second node's part of the address space, of 1.5 GiB, starts at no multiple of 1 GiB, but has one inside.
TEST(PoolGrade, PagesOf1GiBFindTheirPlaceOnEachNode) {
  const std::size_t nodes = os::memory_nodes().size();
  for (const int node : os::memory_nodes()) {
    if (testing::free_giant_pages(node) == 0) GTEST_SKIP() << testing::why_no_giant_page(node);
  }
  Options options = small_options(nodes << 30);
  options.max_bytes = (nodes << 30) + nodes * (512u << 20);
  options.pages = Pages::huge_1g;
  Pool pool(options);
  pool.reserve(nodes * (4u << 20));
  EXPECT_EQ(pool.grades().size(), 2 * nodes);
  for (const Grade& grade : pool.grades()) {
    const bool giant = grade.bytes == 1u << 30;
    EXPECT_EQ(grade.page_bytes == 1u << 30, giant) << grade.reason;
    EXPECT_EQ(grade.reason.find("no 1 GiB hugetlb: 4 MiB is no multiple of 1 GiB") != std::string::npos, !giant)
        << grade.reason;
  }
  testing::mark(pool.lend(65536), 1);
  expect_law(pool, 0);
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
