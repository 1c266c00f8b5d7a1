#include <gtest/gtest.h>
#include <sys/sysinfo.h>
#include <weir/error.h>
#include <weir/registered.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kernel/ring.h"
#include "os/numa.h"
#include "pool_testing.h"

namespace weir {
namespace {

using testing::File;
using testing::Ring;
using testing::small_options;

class RegisteredTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ring_.missing(); !missing.empty()) GTEST_SKIP() << missing;
    file_ = File(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file_.get() < 0) GTEST_SKIP() << "no temporary file in /tmp";
  }

  /// Registers the pool; without a value when the limit on locked memory forbids it.
  static std::unique_ptr<RegisteredPool> try_register(Pool& pool, Ring& ring) {
    try {
      return std::make_unique<RegisteredPool>(pool, ring.get());
    } catch (const Error& error) {
      EXPECT_EQ(error.code().value(), ENOMEM) << error.what();
      EXPECT_NE(std::string(error.what()).find("ulimit -l unlimited"), std::string::npos) << error.what();
      return nullptr;
    }
  }

  static unsigned index_of(const RegisteredPool& registered, const Loan& loan) {
    const std::optional<std::uint16_t> index = registered.index(loan);
    EXPECT_TRUE(index.has_value()) << "its arena is not registered";
    return index.value_or(UINT16_MAX);
  }

  int write(const Loan& loan, unsigned index, std::uint64_t offset) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
    io_uring_prep_write_fixed(sqe, file_.get(), loan.data(), loan.size(), offset, static_cast<int>(index));
    return ring_.complete().res;
  }
  int read(const Loan& loan, unsigned index, std::uint64_t offset) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
    io_uring_prep_read_fixed(sqe, file_.get(), loan.data(), loan.size(), offset, static_cast<int>(index));
    return ring_.complete().res;
  }

  Ring ring_;
  File file_;
};

TEST_F(RegisteredTest, EveryLoanIsARegisteredBuffer) {
  Pool pool(small_options());
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  std::uint64_t offset = 0;
  std::uint8_t mark = 1;
  for (const std::uint32_t bytes : pool.options().classes) {
    const Loan out = pool.lend(bytes);
    const Loan in = pool.lend(bytes);
    testing::mark(out, mark);
    testing::mark(in, 0);
    ASSERT_EQ(write(out, index_of(*registered, out), offset), static_cast<int>(bytes));
    ASSERT_EQ(read(in, index_of(*registered, in), offset), static_cast<int>(bytes));
    EXPECT_TRUE(testing::is_marked(in, mark++));
    offset += bytes;
  }
}

TEST_F(RegisteredTest, AllBuffersOfThePoolHaveAnIndexThatHoldsThem) {
  Pool pool(testing::one_class(4u << 20, 65536));
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  std::set<unsigned> indexes;
  const std::vector<Loan> loans = testing::lend_all(pool, 65536);
  for (const Loan& loan : loans) {
    indexes.insert(index_of(*registered, loan));
    EXPECT_EQ(write(loan, index_of(*registered, loan), 0), 65536);
  }
  EXPECT_EQ(indexes.size(), pool.grades().size()) << "one range for each node's memory";
  EXPECT_EQ(write(loans.front(), static_cast<unsigned>(indexes.size()), 0), -EFAULT) << "there is no such index";
}

TEST_F(RegisteredTest, ALoanOfAnotherRangeIsRefusedByTheKernel) {
  Pool pool(small_options());
  Pool other(small_options());
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  const Loan foreign = other.lend(4096);
  EXPECT_EQ(write(foreign, 0, 0), -EFAULT);
}

TEST_F(RegisteredTest, MemoryOverAGibibyteIsSeveralRanges) {
  struct sysinfo memory {};
  sysinfo(&memory);
  if (memory.freeram * memory.mem_unit < std::size_t{3} << 30) GTEST_SKIP() << "less than 3 GiB of memory are free";
  Options options = testing::one_class((std::size_t{1} << 30) + (4u << 20), 2u << 20);
  options.slab_bytes = 2u << 20;
  options.pages = Pages::transparent;
  Pool pool(options);
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  const std::vector<Loan> loans = testing::lend_all(pool, 2u << 20);
  std::set<unsigned> indexes;
  for (const Loan& loan : loans) {
    indexes.insert(index_of(*registered, loan));
    ASSERT_EQ(write(loan, index_of(*registered, loan), 0), 2 << 20);
  }
  EXPECT_GE(indexes.size(), 2U);
}

TEST_F(RegisteredTest, TwiceIsRefusedAndOnceMoreAfterTheEndIsNot) {
  Pool pool(small_options());
  auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  try {
    const RegisteredPool again(pool, ring_.get());
    FAIL() << "registered twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code().value(), EBUSY);
    EXPECT_NE(std::string(error.what()).find("registered buffers already"), std::string::npos) << error.what();
  }
  registered.reset();
  EXPECT_NE(try_register(pool, ring_), nullptr);
}

/// A pool of one class of 64 KiB that may grow.
Options growing_options() {
  Options options = testing::one_class(os::memory_nodes().size() << 20, 65536);
  options.max_bytes = os::memory_nodes().size() << 24;
  return options;
}

TEST_F(RegisteredTest, ALoanOfAnArenaThatCameLaterHasNoIndexBeforeARefresh) {
  Pool pool(growing_options());
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  std::vector<Loan> first = testing::lend_all(pool, 65536);
  pool.reserve(os::memory_nodes().size() << 20);
  const std::vector<Loan> later = testing::lend_all(pool, 65536);
  ASSERT_FALSE(later.empty());
  for (const Loan& loan : later) ASSERT_EQ(registered->index(loan), std::nullopt);
  for (const Loan& loan : first) ASSERT_EQ(write(loan, index_of(*registered, loan), 0), 65536);
  registered->refresh();
  registered->refresh();
  std::set<unsigned> indexes;
  std::uint8_t mark = 1;
  for (const Loan& loan : later) {
    testing::mark(loan, ++mark);
    indexes.insert(index_of(*registered, loan));
    ASSERT_EQ(write(loan, index_of(*registered, loan), 0), 65536);
    ASSERT_EQ(read(first.front(), index_of(*registered, first.front()), 0), 65536);
    EXPECT_TRUE(testing::is_marked(first.front(), mark));
  }
  for (const Loan& loan : first) indexes.insert(index_of(*registered, loan));
  EXPECT_EQ(indexes.size(), pool.grades().size()) << "each arena has its own";
}

/// Else the next arena there would have the index of pages that are gone.
TEST_F(RegisteredTest, WhatIsRegisteredIsNotTrimmed) {
  Pool pool(growing_options());
  pool.reserve(os::memory_nodes().size() << 21);
  auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  pool.reserve(os::memory_nodes().size() << 21);
  EXPECT_EQ(pool.trim(), os::memory_nodes().size() << 21) << "what came later";
  EXPECT_EQ(pool.trim(), 0U);
  pool.reserve(os::memory_nodes().size() << 21);
  registered->refresh();
  EXPECT_EQ(pool.trim(), 0U);
  for (const Loan& loan : testing::lend_all(pool, 65536)) ASSERT_EQ(write(loan, index_of(*registered, loan), 0), 65536);
  registered.reset();
  pool.flush();
  EXPECT_EQ(pool.trim(), 2 * os::memory_nodes().size() << 21);
}

TEST_F(RegisteredTest, ManySmallArenasAreRegisteredUntilTheIndexesAreSpent) {
  Options options = testing::one_class(os::memory_nodes().size() << 18, 65536);
  options.max_bytes = os::memory_nodes().size() << 29;
  Pool pool(options);
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  std::size_t arenas = 0;
  try {
    for (; arenas < 1000; ++arenas) {
      pool.reserve(65536);
      registered->refresh();
    }
    FAIL() << "there is no end of arenas";
  } catch (const Error& error) {
    EXPECT_GE(arenas, 100U) << error.what();
  }
  std::size_t unregistered = 0;
  for (const Loan& loan : testing::lend_all(pool, 65536)) {
    const std::optional<std::uint16_t> index = registered->index(loan);
    unregistered += !index;
    if (index) {
      ASSERT_EQ(write(loan, *index, 0), 65536);
    }
  }
  EXPECT_LE(unregistered, os::memory_nodes().size() * 32) << "more than the last 2 MiB of each node";
}

TEST_F(RegisteredTest, ARefusedEndIsSaidAndTheMemoryStays) {
  Ring single(8, IORING_SETUP_SINGLE_ISSUER);
  if (const std::string missing = single.missing(); !missing.empty())
    GTEST_SKIP() << "rings with a single issuer need Linux 6.0: " << missing;
  Pool pool(growing_options());
  pool.reserve(os::memory_nodes().size() << 20);
  auto registered = try_register(pool, single);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  ::testing::internal::CaptureStderr();
  std::thread([&] { registered.reset(); }).join();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("weir: pool 'pool': its memory stays registered"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_EQ(pool.trim(), 0U) << "the kernel knows it still";
}

TEST_F(RegisteredTest, TheLawDoesNotNoticeIt) {
  Pool pool(small_options());
  const auto registered = try_register(pool, ring_);
  if (!registered) GTEST_SKIP() << "the limit on locked memory is less than the pool";
  const Loan loan = pool.lend(4096);
  testing::expect_law(pool, 1);
}

}  // namespace
}  // namespace weir
