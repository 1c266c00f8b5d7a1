#include <gtest/gtest.h>
#include <weir/pool.h>

#include <cstring>
#include <vector>

#include "pool_limits.h"
#include "pool_testing.h"

// Data stays where it was written, and no two buffers share a byte.

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::small_options;

void fill_with_addresses(const Loan& loan) {
  for (std::size_t at = 0; at < loan.size(); at += sizeof(std::uintptr_t)) {
    const auto address = reinterpret_cast<std::uintptr_t>(loan.data() + at);
    std::memcpy(loan.data() + at, &address, sizeof address);
  }
}

bool has_its_addresses(const Loan& loan) {
  for (std::size_t at = 0; at < loan.size(); at += sizeof(std::uintptr_t)) {
    std::uintptr_t found = 0;
    std::memcpy(&found, loan.data() + at, sizeof found);
    if (found != reinterpret_cast<std::uintptr_t>(loan.data() + at)) return false;
  }
  return true;
}

class PoolFill : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(PoolFill, EveryByteOfThePoolHasOneHolder) {
  Options options = testing::one_class(4u << 20, GetParam());
  Pool pool(options);
  std::vector<Loan> loans = lend_all(pool, GetParam());
  EXPECT_EQ(loans.size(), testing::most_buffers(pool, GetParam()));
  std::uint8_t seed = 0;
  for (const Loan& loan : loans) testing::mark(loan, seed++);
  seed = 0;
  for (const Loan& loan : loans) ASSERT_TRUE(testing::is_marked(loan, seed++));
  for (const Loan& loan : loans) fill_with_addresses(loan);
  for (const Loan& loan : loans) ASSERT_TRUE(has_its_addresses(loan));
  expect_law(pool, loans.size());
}

INSTANTIATE_TEST_SUITE_P(Classes, PoolFill, ::testing::Values(64, 192, 512, 4096, 4160, 65536, 262144));

TEST(PoolFill, ClassesDoNotShareMemory) {
  Pool pool(small_options(8u << 20));
  std::vector<Loan> loans;
  for (std::size_t i = 0; Loan loan = pool.lend(1 + i * 7919 % 65536); ++i) {
    fill_with_addresses(loan);
    loans.push_back(std::move(loan));
  }
  EXPECT_GT(loans.size(), 100U);
  for (const Loan& loan : loans) ASSERT_TRUE(has_its_addresses(loan));
}

TEST(PoolFill, TheLastByteOfTheLargestClassIsThere) {
  Pool pool(small_options());
  std::vector<Loan> loans = lend_all(pool, 65536);
  for (const Loan& loan : loans) loan.bytes().back() = std::byte{0x77};
  for (const Loan& loan : loans) EXPECT_EQ(loan.data()[65535], std::byte{0x77});
}

}  // namespace
}  // namespace weir
