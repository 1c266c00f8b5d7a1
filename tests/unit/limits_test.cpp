#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

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

TEST_F(LimitsDeathTest, NoRoomForTheSegmentsFileIsAnError) {
  EXPECT_EXIT(
      {
        signal(SIGXFSZ, SIG_IGN);
        limit(RLIMIT_FSIZE, 1u << 20);
        try_pool(small_options());
      },
      ExitedWithCode(1), "refused: cannot make the statistics segment.*ulimit");
}

TEST_F(LimitsDeathTest, NoDescriptorForTheSegmentIsAnError) {
  EXPECT_EXIT(
      {
        limit(RLIMIT_NOFILE, 3);
        try_pool(small_options());
      },
      ExitedWithCode(1), "refused: cannot make the statistics segment");
}

// The sanitizers' shadow needs the whole address space, and they make a lock of memory do nothing.
#ifndef WEIR_SANITIZED

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
      ExitedWithCode(0), "grade: not locked, so it may be swapped: the memlock limit is 64 KiB.*ulimit -l unlimited");
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

}  // namespace
}  // namespace weir
