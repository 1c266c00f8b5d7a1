#include "os/segment_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace weir::os {
namespace {

constexpr std::size_t kBytes = 1 << 20;

class SegmentFileTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(make_segment_file(kSegmentFileName, kBytes, file_), 0); }
  void TearDown() override {
    munmap(file_.data, kBytes);
    close(file_.fd);
  }
  SegmentFile file_;
};

TEST_F(SegmentFileTest, IsSparseUntilPopulated) {
  struct stat status {};
  ASSERT_EQ(fstat(file_.fd, &status), 0);
  EXPECT_EQ(status.st_size, static_cast<off_t>(kBytes));
  EXPECT_EQ(status.st_blocks, 0);
  ASSERT_EQ(populate_segment(file_.data + 5000, 100), 0);
  ASSERT_EQ(fstat(file_.fd, &status), 0);
  EXPECT_GT(status.st_blocks, 0);
  file_.data[5050] = std::byte{42};
}

TEST_F(SegmentFileTest, ReadersSeeWhatIsWrittenHere) {
  ASSERT_EQ(populate_segment(file_.data + 4096, 4096), 0);
  file_.data[4100] = std::byte{7};
  char seen = 0;
  ASSERT_EQ(pread(file_.fd, &seen, 1, 4100), 1);
  EXPECT_EQ(seen, 7);
}

TEST_F(SegmentFileTest, NobodyCanResizeWriteOrMapItForWriting) {
  EXPECT_NE(ftruncate(file_.fd, 0), 0);
  EXPECT_NE(ftruncate(file_.fd, 2 * kBytes), 0);
  EXPECT_EQ(pwrite(file_.fd, "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd, 0), MAP_FAILED);
  EXPECT_NE(fcntl(file_.fd, F_ADD_SEALS, F_SEAL_WRITE), 0) << "the seals themselves are sealed";
}

TEST_F(SegmentFileTest, IsFoundByItsNameAndClosedByExec) {
  const auto link = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file_.fd));
  EXPECT_NE(link.string().find(std::string("memfd:") + kSegmentFileName), std::string::npos);
  EXPECT_NE(fcntl(file_.fd, F_GETFD) & FD_CLOEXEC, 0);
}

TEST(MakeSegmentFile, LeavesNothingBehindOnFailure) {
  const int before = dup(0);
  close(before);
  SegmentFile file;
  EXPECT_LT(make_segment_file(kSegmentFileName, std::size_t{1} << 62, file), 0);
  EXPECT_EQ(file.fd, -1);
  const int after = dup(0);
  EXPECT_EQ(after, before) << "a descriptor leaked";
  close(after);
}

}  // namespace
}  // namespace weir::os
