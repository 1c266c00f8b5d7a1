#include <gtest/gtest.h>
#include <sys/resource.h>
#include <weir/buffer_ring.h>
#include <weir/error.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kernel/ring.h"
#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::one_class;
using testing::Ring;
using testing::small_options;
using testing::SocketPair;

constexpr std::uint16_t kGroup = 64;

class BufferRingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ring_.missing_buffer_rings(); !missing.empty()) GTEST_SKIP() << missing;
  }

  /// Sends the text through the socket pair and receives it into a buffer of the group.
  io_uring_cqe receive(const std::string& text, std::uint16_t group = kGroup) {
    EXPECT_EQ(send(sockets_.far.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return receive_sent(group);
  }
  io_uring_cqe receive_sent(std::uint16_t group = kGroup) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
    io_uring_prep_recv(sqe, sockets_.near.get(), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
    return ring_.complete();
  }
  static std::string text_of(const Loan& loan) { return {reinterpret_cast<const char*>(loan.data()), loan.size()}; }
  void expect_counts(std::uint64_t user, std::uint64_t kernel_ring) {
    expect_law(pool_, user);
    EXPECT_EQ(pool_.counts().kernel_ring, kernel_ring);
  }
  /// What the constructor says, or "made".
  std::string refusal(std::uint16_t group, std::uint32_t entries, std::uint32_t bytes, int errno_value) {
    try {
      const BufferRing buffers(pool_, ring_.get(), group, entries, bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.code().value(), errno_value) << error.what();
      return error.what();
    }
    return "made";
  }

  Pool pool_{small_options()};
  Ring ring_;
  SocketPair sockets_ = SocketPair::local();
};

TEST_F(BufferRingTest, ABufferGoesToTheKernelAndComesBackWithData) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
  EXPECT_EQ(buffers.entries(), 8U);
  EXPECT_EQ(buffers.group(), kGroup);
  EXPECT_EQ(buffers.filled(), 0U);
  Loan loan = pool_.lend(4096);
  std::byte* const data = loan.data();
  ASSERT_TRUE(buffers.provide(loan));
  EXPECT_FALSE(loan);
  EXPECT_EQ(buffers.filled(), 1U);
  expect_counts(0, 1);
  const io_uring_cqe cqe = receive("weir");
  ASSERT_EQ(cqe.res, 4);
  Loan claimed = buffers.claim(cqe);
  EXPECT_EQ(claimed.data(), data);
  EXPECT_EQ(text_of(claimed), "weir");
  EXPECT_EQ(buffers.filled(), 0U);
  expect_counts(1, 0);
  claimed = Loan{};
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, CountsCanBeReadWhileRingsComeAndGo) {
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) EXPECT_LE(pool_.counts().kernel_ring, 8U);
  });
  for (int i = 0; i < 200; ++i) {
    BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
    (void)buffers.replenish();
  }
  stop = true;
  reader.join();
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, TheKernelSeesTheWholeBufferOfATruncatedLoan) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 1, 1024);
  Loan loan = pool_.lend(1024);
  loan.truncate(3);
  ASSERT_TRUE(buffers.provide(loan));
  const std::string text(2000, 't');
  EXPECT_EQ(text_of(buffers.claim(receive(text))), std::string(1024, 't'));
}

TEST_F(BufferRingTest, ReceivesAsMuchAsTheClassHolds) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 4, 3000);
  buffers.replenish();
  EXPECT_EQ(buffers.claim(receive(std::string(5000, 'x'))).size(), 4096U) << "3000 bytes are of the class of 4096";
  EXPECT_EQ(buffers.claim(receive_sent()).size(), 904U);
}

TEST_F(BufferRingTest, EveryNumberOfEntriesIsFilledWhole) {
  Options options = one_class(16u << 20, 64);
  options.slab_bytes = 2u << 20;
  Pool pool(options);
  rlimit locked{};
  getrlimit(RLIMIT_MEMLOCK, &locked);
  const std::uint32_t most = geteuid() == 0 || locked.rlim_cur >= 2u << 20 ? 32768 : 1024;  // some kernels charge rings
  for (std::uint32_t entries = 1; entries <= most; entries *= 2) {
    BufferRing buffers(pool, ring_.get(), kGroup, entries, 64);
    EXPECT_EQ(buffers.replenish(), entries);
    EXPECT_EQ(buffers.filled(), entries);
    EXPECT_EQ(pool.counts().kernel_ring, entries);
    EXPECT_EQ(buffers.replenish(), entries) << "it is full already";
    EXPECT_EQ(pool.counts().kernel_ring, entries);
    const io_uring_cqe cqe = receive("full");
    ASSERT_EQ(cqe.res, 4) << entries;
    EXPECT_EQ(text_of(buffers.claim(cqe)), "full");
  }
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().kernel_ring, 0U);
}

TEST_F(BufferRingTest, ReplenishCutsAsManySlabsAsItNeeds) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 64, 16384);  // sixteen buffers a slab
  EXPECT_EQ(buffers.replenish(), 64U);
  expect_counts(0, 64);
}

TEST_F(BufferRingTest, ReplenishTakesWhatThereIs) {
  Pool pool(one_class(1u << 20, 65536));
  BufferRing buffers(pool, ring_.get(), kGroup, 64, 65536);
  std::vector<Loan> loans = lend_all(pool, 65536);
  EXPECT_EQ(buffers.replenish(), 0U);
  loans.resize(loans.size() - 2);
  EXPECT_EQ(buffers.replenish(), 2U);
  const auto held = static_cast<std::uint32_t>(loans.size());
  loans.clear();
  EXPECT_EQ(buffers.replenish(), 2 + held);
  expect_law(pool, 0);
}

TEST_F(BufferRingTest, EachBufferIsReceivedOnceThroughManyTurns) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 4, 512);
  std::vector<Loan> held;
  for (int i = 0; i < 3000; ++i) {
    buffers.replenish();
    const std::string text = "message " + std::to_string(i);
    const io_uring_cqe cqe = receive(text);
    ASSERT_EQ(cqe.res, static_cast<int>(text.size()));
    Loan loan = buffers.claim(cqe);
    ASSERT_EQ(text_of(loan), text);
    held.push_back(std::move(loan));
    if (held.size() < 100) continue;
    for (std::size_t j = 0; j < held.size(); ++j) {
      ASSERT_EQ(text_of(held[j]), "message " + std::to_string(i - 99 + static_cast<int>(j)))
          << "overwritten while lent";
    }
    held.clear();
    expect_counts(0, buffers.filled());
  }
}

TEST_F(BufferRingTest, RefusesAForeignBufferAndLeavesItYours) {
  Pool other(small_options());
  BufferRing buffers(pool_, ring_.get(), kGroup, 2, 4096);
  Loan smaller = pool_.lend(2048);
  Loan larger = pool_.lend(8192);
  Loan foreign = other.lend(4096);
  Loan empty;
  for (Loan* loan : {&smaller, &larger, &foreign}) {
    EXPECT_FALSE(buffers.provide(*loan));
    EXPECT_TRUE(*loan);
  }
  EXPECT_FALSE(buffers.provide(empty));
  expect_counts(2, 0);
  expect_law(other, 1);
}

TEST_F(BufferRingTest, RefusesWhenEverySlotIsFull) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 2, 4096);
  for (int i = 0; i < 2; ++i) {
    Loan loan = pool_.lend(4096);
    EXPECT_TRUE(buffers.provide(loan));
  }
  Loan loan = pool_.lend(4096);
  EXPECT_FALSE(buffers.provide(loan));
  EXPECT_TRUE(loan);
  expect_counts(1, 2);
}

TEST_F(BufferRingTest, AnEmptyRingIsAnAnswer) {
  const BufferRing buffers(pool_, ring_.get(), kGroup, 2, 4096);
  EXPECT_EQ(receive("nothing").res, -ENOBUFS);
}

TEST_F(BufferRingTest, AClaimedLoanIsDroppedOnAnotherThread) {
  BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
  buffers.replenish();
  for (int i = 0; i < 20; ++i) {
    Loan loan = buffers.claim(receive("over there"));
    std::thread([mine = std::move(loan)]() mutable { mine = Loan{}; }).join();
    buffers.replenish();
  }
  expect_counts(0, 8);
}

TEST_F(BufferRingTest, ItsEndWithdrawsWhatItHoldsWhicheverWayItCame) {
  {
    BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
    for (int i = 0; i < 3; ++i) {
      Loan loan = pool_.lend(4096);
      ASSERT_TRUE(buffers.provide(loan));
    }
    buffers.replenish();
    for (int i = 0; i < 5; ++i) (void)buffers.claim(receive("claimed and dropped"));
    expect_counts(0, 3);
  }
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, ALoanOutlivesTheRingItWasClaimedFrom) {
  Loan loan;
  {
    BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
    buffers.replenish();
    loan = buffers.claim(receive("lasting"));
  }
  expect_counts(1, 0);
  EXPECT_EQ(text_of(loan), "lasting");
  loan = Loan{};
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, AGroupIsTakenOnceAndFreeAgainAfterIt) {
  for (int round = 0; round < 300; ++round) {
    BufferRing buffers(pool_, ring_.get(), kGroup, 8, 512);
    buffers.replenish();
    ASSERT_EQ(text_of(buffers.claim(receive("again"))), "again");
  }
  const BufferRing first(pool_, ring_.get(), kGroup, 8, 512);
  const std::string said = refusal(kGroup, 8, 512, EEXIST);
  EXPECT_NE(said.find("cannot register buffer group 64"), std::string::npos) << said;
  EXPECT_EQ(refusal(kGroup + 1, 8, 512, 0), "made");
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, SeveralGroupsOfOneIoUringAreApart) {
  BufferRing small(pool_, ring_.get(), 64, 4, 512);
  BufferRing large(pool_, ring_.get(), 65535, 4, 65536);
  small.replenish();
  large.replenish();
  EXPECT_EQ(small.claim(receive("s", 64)).size(), 1U);
  EXPECT_EQ(large.claim(receive(std::string(20'000, 'l'), 65535)).size(), 20'000U);
  expect_counts(0, 6);
}

TEST_F(BufferRingTest, TwoIoUringsShareAPool) {
  Ring second;
  BufferRing one(pool_, ring_.get(), kGroup, 4, 512);
  BufferRing two(pool_, second.get(), kGroup, 4, 512);
  one.replenish();
  two.replenish();
  expect_counts(0, 8);
  EXPECT_EQ(text_of(one.claim(receive("one"))), "one");
}

TEST_F(BufferRingTest, WrongArgumentsAreRefusedWithTheirCause) {
  for (const std::uint32_t entries : {0U, 3U, 100U, 65536U, UINT32_MAX}) {
    EXPECT_NE(refusal(kGroup, entries, 512, EINVAL).find("a power of two from 1 to 32768"), std::string::npos);
  }
  for (const std::uint16_t group : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{63}}) {
    EXPECT_NE(refusal(group, 8, 512, EINVAL).find("take one from 64 up"), std::string::npos);
  }
  EXPECT_NE(refusal(kGroup, 8, 65537, EINVAL).find("no size class of the pool holds 65537 bytes"), std::string::npos);
  EXPECT_EQ(refusal(kGroup, 8, 512, 0), "made") << "nothing of the failures stays";
  expect_counts(0, 0);
}

TEST_F(BufferRingTest, NoMemoryForItsEntriesIsAnError) {
  Pool pool(one_class(256 * 1024, 4096));
  const auto expect_refused = [&](std::uint32_t entries) {
    try {
      const BufferRing buffers(pool, ring_.get(), kGroup, entries, 4096);
      FAIL() << "there was no memory left";
    } catch (const Error& error) {
      EXPECT_EQ(error.code().value(), ENOMEM);
      EXPECT_NE(std::string(error.what()).find("raise WEIR_BYTES"), std::string::npos) << error.what();
    }
  };
  expect_refused(32768);  // 512 KiB
  std::vector<Loan> loans = lend_all(pool, 4096);
  expect_refused(8);
  expect_law(pool, loans.size());
  loans.clear();
  const BufferRing buffers(pool, ring_.get(), kGroup, 8, 4096);
  EXPECT_EQ(buffers.entries(), 8U) << "a slab of loans that came home is memory for a ring";
}

/// Rings come and go among slabs that come and go.
TEST_F(BufferRingTest, TheMemoryOfRingsIsAllGivenBack) {
  Pool pool(one_class(4u << 20, 1024));
  for (int round = 0; round < 200; ++round) {
    lend_all(pool, 1024).clear();
    pool.flush();
    const std::uint32_t entries = 1U << round % 12;
    BufferRing one(pool, ring_.get(), kGroup, entries, 1024);
    BufferRing two(pool, ring_.get(), kGroup + 1, 8, 1024);
    one.replenish();
    const Loan loan = pool.lend(1024);
    EXPECT_TRUE(loan) << round;
  }
  expect_law(pool, 0);
  pool.trim();
  EXPECT_EQ(lend_all(pool, 1024).size(), 4096U);
}

class BufferRingDeathTest : public BufferRingTest {
 protected:
  BufferRingDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(BufferRingDeathTest, ACompletionIsClaimedTwice) {
  EXPECT_EXIT(
      {
        BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
        buffers.replenish();
        const io_uring_cqe cqe = receive("once");
        const Loan loan = buffers.claim(cqe);
        (void)buffers.claim(cqe);
      },
      ::testing::KilledBySignal(SIGABRT), "weir: group 64: the kernel returned buffer id 0, which it does not hold");
}

TEST_F(BufferRingDeathTest, ACompletionOfAnotherRingIsClaimed) {
  EXPECT_EXIT(
      {
        BufferRing buffers(pool_, ring_.get(), kGroup, 8, 4096);
        io_uring_cqe cqe{};
        cqe.flags = 8U << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER;
        (void)buffers.claim(cqe);
      },
      ::testing::KilledBySignal(SIGABRT), "weir: group 64: the kernel returned buffer id 8, which it does not hold");
}

TEST_F(BufferRingDeathTest, ThePoolGoesBeforeItsRing) {
  EXPECT_EXIT(
      {
        auto pool = std::make_unique<Pool>(small_options());
        BufferRing buffers(*pool, ring_.get(), kGroup, 8, 4096);
        buffers.replenish();
        pool.reset();
      },
      ::testing::KilledBySignal(SIGABRT),
      "destroyed while buffers of 4096 bytes are out: 0 with users, 8 with the kernel");
}

}  // namespace
}  // namespace weir
