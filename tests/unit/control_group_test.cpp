#include "os/control_group.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "faked_files.h"

// What is read of control groups, of files like those of other machines.

namespace weir::os {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr const char* kUnlimited = "9223372036854771712\n";  // as the first version says it

class ControlGroup : public ::testing::Test {
 protected:
  void first_version(const std::string& own, const std::string& root = "/") const {
    files_.write("/proc/self/cgroup", "7:pids:" + own + "\n4:hugetlb,memory:" + own + "\n0::/\n");
    files_.write("/proc/self/mountinfo", "30 1 0:28 / / rw,relatime - ext4 /dev/sda rw\n33 31 0:30 " + root +
                                             " /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids\n35 31 0:32 " +
                                             root + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n");
  }
  void second_version(const std::string& own, const std::string& root = "/") const {
    files_.write("/proc/self/cgroup", "0::" + own + "\n");
    files_.write("/proc/self/mountinfo", "35 31 0:32 " + root + " /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void limit_first(const std::string& group, std::uint64_t mib, std::uint64_t used_mib) const {
    const std::string folder = "/sys/fs/cgroup/memory" + group + "/memory";
    files_.write(folder + ".limit_in_bytes", std::to_string(mib * kMiB) + "\n");
    files_.write(folder + ".usage_in_bytes", std::to_string(used_mib * kMiB) + "\n");
  }
  void limit_second(const std::string& group, std::uint64_t mib, std::uint64_t used_mib) const {
    const std::string folder = "/sys/fs/cgroup" + group + "/memory";
    files_.write(folder + ".max", std::to_string(mib * kMiB) + "\n");
    files_.write(folder + ".current", std::to_string(used_mib * kMiB) + "\n");
  }
  static void expect_left(std::uint64_t mib, const std::string& file) {
    const std::optional<GroupLimit> limit = memory_limit();
    ASSERT_TRUE(limit);
    EXPECT_EQ(limit->left(), mib * kMiB);
    EXPECT_EQ(limit->file, file);
  }

  testing::FakedFiles files_;
};

TEST_F(ControlGroup, WithoutFilesThereIsNoLimit) {
  EXPECT_FALSE(memory_limit());
  EXPECT_FALSE(hugetlb_limit(2 * kMiB));
  second_version("/");
  EXPECT_FALSE(memory_limit());
  first_version("/a");
  files_.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", kUnlimited);
  EXPECT_FALSE(memory_limit());
}

TEST_F(ControlGroup, TheTightestOfTheChainCounts) {
  second_version("/a/b/c");
  files_.write("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  limit_second("/a/b", 100, 10);
  expect_left(90, "/sys/fs/cgroup/a/b/memory.max");
  limit_second("/a", 200, 150);
  expect_left(50, "/sys/fs/cgroup/a/memory.max");
  limit_second("", 300, 299);
  expect_left(1, "/sys/fs/cgroup/memory.max");
  limit_second("/a/b/c", 10, 20);
  expect_left(0, "/sys/fs/cgroup/a/b/c/memory.max");
}

TEST_F(ControlGroup, TheFirstVersionHasOtherNames) {
  first_version("/a/b");
  limit_first("/a/b", 100, 60);
  expect_left(40, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes");
  limit_first("/a", 200, 190);
  expect_left(10, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
}

/// A container sees its own group as the root of all, and its place among the others in /proc perhaps.
TEST_F(ControlGroup, AContainerSeesTheGroupsBelowItsOwn) {
  first_version("/docker/1234", "/docker/1234");
  limit_first("", 100, 60);
  expect_left(40, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
  first_version("/docker/1234/below", "/docker/1234");
  limit_first("/below", 80, 60);
  expect_left(20, "/sys/fs/cgroup/memory/below/memory.limit_in_bytes");
  second_version("/../outside");
  limit_second("", 50, 40);
  expect_left(10, "/sys/fs/cgroup/memory.max");
  second_version("/elsewhere", "/docker");
  expect_left(10, "/sys/fs/cgroup/memory.max");
}

/// A group that has read many files has used nearly all that it may, and yet has room.
TEST_F(ControlGroup, CleanCopiesOfFilesAreNotUsed) {
  second_version("/a");
  limit_second("/a", 100, 95);
  files_.write("/sys/fs/cgroup/a/memory.stat",
               "anon 1048576\nfile 90177536\ninactive_file 52428800\nactive_file 20971520\nslab_reclaimable 1048576\n");
  expect_left(5 + 50 + 20 + 1, "/sys/fs/cgroup/a/memory.max");
  first_version("/a");
  limit_first("/a", 100, 95);
  files_.write("/sys/fs/cgroup/memory/a/memory.stat",
               "inactive_file 1\nactive_file 1\ntotal_inactive_file 20971520\ntotal_active_file 10485760\n");
  expect_left(5 + 20 + 10, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
}

TEST_F(ControlGroup, HugePagesAreLimitedByNumberAndByReservation) {
  second_version("/a");
  files_.write("/sys/fs/cgroup/a/hugetlb.2MB.max", "16777216\n");
  files_.write("/sys/fs/cgroup/a/hugetlb.2MB.current", "4194304\n");
  EXPECT_EQ(hugetlb_limit(2 * kMiB).value_or(GroupLimit{}).left(), 12 * kMiB);
  files_.write("/sys/fs/cgroup/a/hugetlb.2MB.rsvd.max", "8388608\n");
  EXPECT_EQ(hugetlb_limit(2 * kMiB).value_or(GroupLimit{}).file, "/sys/fs/cgroup/a/hugetlb.2MB.rsvd.max");
  EXPECT_FALSE(hugetlb_limit(1024 * kMiB));
  first_version("/a");
  files_.write("/sys/fs/cgroup/memory/a/hugetlb.1GB.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(hugetlb_limit(1024 * kMiB).value_or(GroupLimit{}).bytes, 1024 * kMiB);
}

TEST_F(ControlGroup, ThreadsAreLimitedByTheSameNamesInBothVersions) {
  second_version("/a");
  files_.write("/sys/fs/cgroup/a/pids.max", "20\n");
  files_.write("/sys/fs/cgroup/a/pids.current", "15\n");
  EXPECT_EQ(task_limit().value_or(GroupLimit{}).left(), 5U);
  first_version("/b");
  EXPECT_FALSE(task_limit());
  files_.write("/sys/fs/cgroup/pids/b/pids.max", "30\n");
  files_.write("/sys/fs/cgroup/pids/b/pids.current", "28\n");
  EXPECT_EQ(task_limit().value_or(GroupLimit{}).left(), 2U);
}

TEST_F(ControlGroup, LinesThatMakeNoSenseAreNoLimit) {
  files_.write("/proc/self/cgroup", "\n:\n::\n4:memory\nmemory\n");
  files_.write("/proc/self/mountinfo", "\n1\n1 2 3 / /sys/fs/cgroup - \n1 2 3 / /sys/fs/cgroup rw - cgroup2\n");
  EXPECT_FALSE(memory_limit());
}

}  // namespace
}  // namespace weir::os
