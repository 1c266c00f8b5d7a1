#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "os/numa.h"
#include "pool_testing.h"

// Huge pages that become available after the pool has started.

namespace weir {
namespace {

constexpr std::size_t kHugePage = 2u << 20;
const std::string kPages = "hugepages/hugepages-2048kB/";

std::size_t nodes() { return os::memory_nodes().size(); }

std::size_t read_number(const std::string& path) {
  std::size_t number = 0;
  std::ifstream(path) >> number;
  return number;
}

/// All free huge pages, as long as it lives; they are promised to it, which takes no time.
class AllHugePages {
 public:
  AllHugePages() {
    const std::string folder = "/sys/kernel/mm/" + kPages;
    const std::size_t free = read_number(folder + "free_hugepages");
    bytes_ = (free - std::min(free, read_number(folder + "resv_hugepages"))) * kHugePage;
    if (bytes_ == 0) return;
    where_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  }
  ~AllHugePages() {
    if (has_all() && bytes_ > 0) munmap(where_, bytes_);
  }
  AllHugePages(const AllHugePages&) = delete;
  AllHugePages& operator=(const AllHugePages&) = delete;
  bool has_all() const { return where_ != MAP_FAILED; }

 private:
  std::size_t bytes_ = 0;
  void* where_ = nullptr;
};

/// One huge page more on each node, as long as it lives.
class MoreHugePages {
 public:
  MoreHugePages() {
    for (const int node : os::memory_nodes()) {
      const std::string path = "/sys/devices/system/node/node" + std::to_string(node) + "/" + kPages + "nr_hugepages";
      const std::size_t before = read_number(path);
      std::ofstream(path) << before + 1;
      if (read_number(path) == before + 1) raised_.push_back(path);
    }
  }
  ~MoreHugePages() {
    for (const std::string& path : raised_) {
      const std::size_t now = read_number(path);
      std::ofstream(path) << now - 1;
    }
  }
  MoreHugePages(const MoreHugePages&) = delete;
  MoreHugePages& operator=(const MoreHugePages&) = delete;
  bool on_all_nodes() const { return raised_.size() == nodes(); }

 private:
  std::vector<std::string> raised_;
};

std::size_t count_huge(const std::vector<Grade>& grades) {
  return static_cast<std::size_t>(
      std::count_if(grades.begin(), grades.end(), [](const Grade& grade) { return grade.huge_tlb; }));
}

TEST(Ladder, AnArenaThatComesLaterClimbsItFromTheTop) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may raise nr_hugepages";
  const AllHugePages taken;
  if (!taken.has_all()) GTEST_SKIP() << "the free huge pages are not to be had all";
  Options options = testing::small_options(kHugePage * nodes());
  options.pages = Pages::automatic;
  options.max_bytes = 2 * options.bytes;
  std::optional<MoreHugePages> raised;
  Pool pool(options);
  if (count_huge(pool.grades()) > 0) GTEST_SKIP() << "there are huge pages still: is nr_overcommit_hugepages set?";
  for (const Grade& grade : pool.grades()) EXPECT_NE(grade.reason.find("free huge pages"), std::string::npos);
  raised.emplace();
  if (!raised->on_all_nodes()) GTEST_SKIP() << "the system has no huge page more to give, or no NUMA nodes in /sys";
  pool.reserve(kHugePage * nodes());
  ASSERT_EQ(pool.grades().size(), 2 * nodes());
  if (pool.grades().back().reason.find("before Linux 5.14") != std::string::npos)
    GTEST_SKIP() << pool.grades().back().reason;
  EXPECT_EQ(count_huge(pool.grades()), nodes());
  for (const Grade& grade : pool.grades()) {
    EXPECT_EQ(grade.page_bytes == kHugePage && grade.reason.empty(), grade.huge_tlb) << grade.reason;
  }
  testing::expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
