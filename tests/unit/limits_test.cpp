#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "os/control_group.h"
#include "os/numa.h"
#include "os/process.h"
#include "pool_testing.h"

// Each limit is set in a process of its own, before it has made a pool.

namespace weir {
namespace {

using ::testing::ExitedWithCode;
using testing::small_options;

class LimitsDeathTest : public ::testing::Test {
 protected:
  LimitsDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

bool limit(__rlimit_resource_t what, rlim_t to) {
  rlimit now{};
  getrlimit(what, &now);
  now.rlim_cur = to;
  return setrlimit(what, &now) == 0;
}

/// Says what making the pool leads to, and ends with 0 when it was made and lends, or 1 when it was refused.
[[noreturn]] void try_pool(const Options& options) {
  try {
    Pool pool(options);
    for (const Grade& grade : pool.grades()) std::fprintf(stderr, "grade: %s\n", grade.reason.c_str());
    const auto loans = testing::lend_all(pool, 4096);
    std::_Exit(loans.empty() || !pool.check_all().empty() ? 3 : 0);
  } catch (const Error& error) {
    std::fprintf(stderr, "refused: %s\n", error.what());
    std::_Exit(1);
  }
}

TEST_F(LimitsDeathTest, NoRoomForTheSegmentsFileIsNoError) {
  EXPECT_EXIT(
      {
        limit(RLIMIT_FSIZE, 1u << 20);
        try_pool(small_options());
      },
      ExitedWithCode(0), "");
}

// The sanitizers' shadow needs the whole address space, their checks of virtual calls need descriptors, and they make a
// lock of memory do nothing.
#ifndef WEIR_SANITIZED

TEST_F(LimitsDeathTest, NoDescriptorForTheSegmentIsAnError) {
  EXPECT_EXIT(
      {
        limit(RLIMIT_NOFILE, 3);
        try_pool(small_options());
      },
      ExitedWithCode(1), "refused: cannot make the file of a pool's metadata.*Too many open files.*ulimit -n");
}

TEST_F(LimitsDeathTest, NoAddressSpaceForTheSegmentIsAnError) {
  EXPECT_EXIT(
      {
        limit(RLIMIT_AS, 400u << 20);
        try_pool(small_options());
      },
      ExitedWithCode(1), "refused: cannot make the statistics segment.*ulimit -v unlimited");
}

TEST_F(LimitsDeathTest, NoAddressSpaceForThePoolIsAnError) {
  EXPECT_EXIT(
      {
        limit(RLIMIT_AS, 1100u << 20);
        try_pool(small_options(1u << 30));
      },
      ExitedWithCode(1), "refused: .*(lower WEIR_BYTES|ulimit -v unlimited)");
}

TEST_F(LimitsDeathTest, AddressSpaceThatIsOnlyJustTooSmallNeverCrashes) {
  for (rlim_t mib = 540; mib <= 620; mib += 8) {
    EXPECT_EXIT(
        {
          limit(RLIMIT_AS, mib << 20);
          try_pool(small_options(8u << 20));
        },
        [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) <= 1; }, "refused: .*|grade: .*")
        << mib << " MiB";
  }
}

/// Becomes an ordinary user with the limit of 64 KiB of locked memory.
bool be_ordinary() {
  limit(RLIMIT_MEMLOCK, 64u << 10);
  return geteuid() != 0 || setuid(65534) == 0;
}

/// Whether be_ordinary() would do, tried in a child.
bool can_be_ordinary() {
  const pid_t child = fork();
  if (child == 0) std::_Exit(be_ordinary() ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST_F(LimitsDeathTest, LittleLockedMemoryIsADegradationThatIsSaid) {
  if (!can_be_ordinary()) GTEST_SKIP() << "root cannot become an ordinary user here";
  EXPECT_EXIT(
      {
        be_ordinary();
        try_pool(small_options(4u << 20));
      },
      ExitedWithCode(0),
      "grade: not locked, so it may be swapped: the memlock limit is 64 KiB, and .* are needed: `ulimit -l [0-9]+`, or "
      "LimitMEMLOCK=[0-9]+K in its systemd unit");
}

/// The kibibytes that the first grade asks `ulimit -l` for; 0 when it asks nothing.
rlim_t asked_of_ulimit(const Pool& pool) {
  const std::string reason = pool.grades().front().reason;
  const std::size_t at = reason.find("ulimit -l ");
  return at == std::string::npos ? 0 : std::stoul(reason.substr(at + std::strlen("ulimit -l ")));
}

/// Lets the limit be raised to so much later. REQUIRES: root, or a hard limit of as much.
void allow_memlock(rlim_t most) {
  rlimit now{};
  getrlimit(RLIMIT_MEMLOCK, &now);
  now.rlim_max = std::max(now.rlim_max, most);
  setrlimit(RLIMIT_MEMLOCK, &now);
}

TEST_F(LimitsDeathTest, TheMemlockLimitThatIsAskedForIsEnough) {
  const std::size_t start = os::memory_nodes().size() * (2u << 20);
  rlimit now{};
  getrlimit(RLIMIT_MEMLOCK, &now);
  if (!can_be_ordinary()) GTEST_SKIP() << "root cannot become an ordinary user here";
  const bool may_raise = geteuid() == 0 || now.rlim_max >= 2 * start;
  if (!may_raise) GTEST_SKIP() << "the hard memlock limit is " << now.rlim_max << " bytes: too little";
  EXPECT_EXIT(
      {
        allow_memlock(2 * start);
        be_ordinary();
        Options options = small_options(start);
        options.max_bytes = 2 * start;
        const rlim_t asked = asked_of_ulimit(Pool(options));
        limit(RLIMIT_MEMLOCK, asked << 10);
        Pool pool(options);
        pool.reserve(options.bytes);
        for (const Grade& grade : pool.grades())
          std::fprintf(stderr, "%s %s\n", grade.locked ? "yes" : "no", grade.reason.c_str());
        const std::vector<Grade> grades = pool.grades();
        const bool all = std::all_of(grades.begin(), grades.end(), [](const Grade& grade) { return grade.locked; });
        std::_Exit(asked > 64 && all ? 0 : 1);
      },
      ExitedWithCode(0), "");
}

TEST_F(LimitsDeathTest, WithThePrivilegeTheMemlockLimitIsNoneAndNothingIsSaid) {
  if (!os::has_privilege(CAP_IPC_LOCK)) GTEST_SKIP() << "this process lacks CAP_IPC_LOCK";
  EXPECT_EXIT(
      {
        limit(RLIMIT_MEMLOCK, 64u << 10);
        const Pool pool(small_options(4u << 20));
        for (const Grade& grade : pool.grades()) std::fprintf(stderr, "said: '%s'\n", grade.reason.c_str());
        std::_Exit(pool.grades().front().locked && asked_of_ulimit(pool) == 0 ? 0 : 1);
      },
      ExitedWithCode(0), "said: ''");
}

TEST_F(LimitsDeathTest, LittleLockedMemoryIsRefusedByStrict) {
  if (!can_be_ordinary()) GTEST_SKIP() << "root cannot become an ordinary user here";
  EXPECT_EXIT(
      {
        be_ordinary();
        Options options = small_options(4u << 20);
        options.strict = true;
        try_pool(options);
      },
      ExitedWithCode(1), "refused: WEIR_STRICT=1 and .* is not to be had whole: not locked");
}

TEST_F(LimitsDeathTest, NeighbouringPoolsThatCannotBeLockedAreGradedAlike) {
  if (!can_be_ordinary()) GTEST_SKIP() << "root cannot become an ordinary user here";
  EXPECT_EXIT(
      {
        be_ordinary();
        Options options = small_options(16u << 20);
        options.pages = Pages::transparent;
        const Pool one(options);
        const Pool two(options);
        const Pool three(options);
        std::fprintf(stderr, "%s / %s / %s\n", one.grades()[0].reason.c_str(), two.grades()[0].reason.c_str(),
                     three.grades()[0].reason.c_str());
        const std::size_t page = one.grades()[0].page_bytes;
        std::_Exit(two.grades()[0].page_bytes == page && three.grades()[0].page_bytes == page ? 0 : 1);
      },
      ExitedWithCode(0), "");
}

#endif

/// This process's group; empty where it is unknown. Of the first version where that has the memory controller, which
/// the second has not then.
std::filesystem::path own_memory_group() {
  const std::filesystem::path first = "/sys/fs/cgroup/memory";
  const bool is_first = std::filesystem::exists(first);
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t at = is_first ? line.find(":memory:") : line.find("0::");
    if (at != std::string::npos) return (is_first ? first : first.parent_path()) / line.substr(line.find('/') + 1);
  }
  return {};
}

bool write_to(const std::filesystem::path& file, const std::string& text) {
  return static_cast<bool>(std::ofstream(file) << text << std::flush);
}

std::filesystem::path limit_file(const std::filesystem::path& group) {
  const std::filesystem::path first = group / "memory.limit_in_bytes";
  return std::filesystem::exists(first) ? first : group / "memory.max";
}

/// A control group with little memory, which the death test's child joins. The child is told which by a variable.
class SmallGroup : public LimitsDeathTest {
 protected:
  void SetUp() override {
    if (getenv(kVariable) != nullptr) return;
    group_ = own_memory_group() / ("weir-limits-test-" + std::to_string(getpid()));
    std::error_code refused;
    std::filesystem::create_directory(group_, refused);
    // A folder that is no control group has no such file.
    if (refused || !std::filesystem::exists(limit_file(group_)) ||
        !write_to(limit_file(group_), std::to_string(kBytes)))
      GTEST_SKIP() << "no control group with a limit on memory can be made here";
    setenv(kVariable, group_.c_str(), 1);
  }
  ~SmallGroup() override {
    unsetenv(kVariable);
    std::error_code not_there;
    std::filesystem::remove(group_, not_there);
  }
  static void join() {
    if (!write_to(std::filesystem::path(getenv(kVariable)) / "cgroup.procs", std::to_string(getpid()))) std::_Exit(4);
  }
  static std::filesystem::path limit() { return limit_file(getenv(kVariable)); }

  static constexpr const char* kVariable = "TEST_GROUP";
  static constexpr std::size_t kBytes = 48u << 20;
  std::filesystem::path group_;
};

TEST_F(SmallGroup, RefusesAPoolThatDoesNotFit) {
  EXPECT_EXIT(
      {
        join();
        try_pool(small_options(64u << 20));
      },
      ExitedWithCode(1), "refused: .*the control group's limit of 48 MiB has no room for it: as root, raise .* by ");
}

TEST_F(SmallGroup, TakesAPoolThatFits) {
  EXPECT_EXIT(
      {
        join();
        try_pool(small_options(16u << 20));
      },
      ExitedWithCode(0), "");
}

/// It says so once, and grows when the limit was raised.
[[noreturn]] void grow_in_a_small_group(const std::filesystem::path& limit) {
  std::atomic<int> said{0};
  Options options = small_options(8u << 20);
  options.max_bytes = 256u << 20;
  options.grow_bytes = 16u << 20;
  options.on_alert = [&](const Alert& alert) {
    said += alert.kind == AlertKind::growth_failed && alert.message.find("control group") != std::string::npos;
  };
  Pool pool(options);
  std::vector<Loan> loans;
  const auto lend = [&] {
    while (Loan loan = pool.lend(65536)) {
      testing::mark(loan, 1);
      loans.push_back(std::move(loan));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  while (said == 0) lend();
  const std::size_t most = loans.size();
  if (!write_to(limit, std::to_string(512u << 20))) std::_Exit(6);
  while (loans.size() == most) lend();
  std::_Exit(said == 1 ? 0 : 5);
}

TEST_F(SmallGroup, KeepsAPoolFromGrowingUntilThereIsRoom) {
  EXPECT_EXIT(
      {
        join();
        grow_in_a_small_group(limit());
      },
      ExitedWithCode(0), "");
}

/// Runs in a control group that limits the huge pages: tests/guest/control-groups makes one.
class CgroupLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto found = os::hugetlb_limit(2u << 20);
    if (!found) GTEST_SKIP() << "no control group limits the huge pages here: tests/guest/control-groups makes one";
    limit_ = *found;
    options_.pages = Pages::huge_2m;
    options_.bytes = limit_.bytes / 2;
    options_.max_bytes = 4 * limit_.bytes;
  }
  void expect_named(const std::string& text) const {
    EXPECT_NE(text.find("no 2 MiB hugetlb: the control group's limit is "), std::string::npos) << text;
    EXPECT_NE(text.find(" >" + limit_.file), std::string::npos) << text;
  }
  static void use_all(Pool& pool) {
    const auto loans = testing::lend_all(pool, 65536);
    for (const Loan& loan : loans) testing::mark(loan, 1);
  }

  os::GroupLimit limit_;
  Options options_ = small_options();
};

TEST_F(CgroupLimit, IsNamedAtTheStartAndIsNoSignal) {
  options_.bytes = 2 * limit_.bytes;
  Pool pool(options_);
  for (const Grade& grade : pool.grades()) {
    EXPECT_FALSE(grade.huge_tlb && grade.bytes > limit_.bytes);
    if (!grade.huge_tlb) expect_named(grade.reason);
  }
  EXPECT_FALSE(pool.grades().back().huge_tlb);
  use_all(pool);
}

TEST_F(CgroupLimit, IsNamedAtGrowthAndIsNoSignal) {
  Pool pool(options_);
  for (const Grade& grade : pool.grades()) EXPECT_TRUE(grade.huge_tlb) << "the limit has room for it: " << grade.reason;
  pool.reserve(2 * limit_.bytes);
  for (const Grade& grade : pool.grades()) {
    if (!grade.huge_tlb) expect_named(grade.reason);
  }
  EXPECT_FALSE(pool.grades().back().huge_tlb);
  use_all(pool);
}

TEST_F(CgroupLimit, IsRefusedByStrictAtGrowthAndThePoolGoesOn) {
  options_.strict = true;
  Pool pool(options_);
  const std::size_t before = pool.grades().size();
  try {
    pool.reserve(4 * limit_.bytes - options_.bytes);
    FAIL() << "there was more than the limit";
  } catch (const Error& error) {
    expect_named(error.what());
  }
  EXPECT_EQ(pool.grades().size(), before);
  use_all(pool);
}

}  // namespace
}  // namespace weir
