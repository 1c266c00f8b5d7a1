#pragma once

#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <utility>
#include <vector>

// What the tests of pools share.

namespace weir::testing {

/// Options of a small pool on 4 KiB pages, which is made fast and the same everywhere.
inline Options small_options(std::size_t bytes = 4u << 20) {
  Options options;
  options.bytes = bytes;
  options.pages = Pages::small;
  return options;
}

/// Options of a pool of one class, that its slabs hold without a rest.
inline Options one_class(std::size_t bytes, std::uint32_t class_bytes) {
  Options options = small_options(bytes);
  options.classes = {class_bytes};
  options.receive_bytes = class_bytes;
  return options;
}

/// Lends until nothing is left.
inline std::vector<Loan> lend_all(Pool& pool, std::size_t bytes) {
  std::vector<Loan> loans;
  while (Loan loan = pool.lend(bytes)) loans.push_back(std::move(loan));
  return loans;
}

/// The law, by walking. REQUIRES: no other thread uses the pool.
inline void expect_law(const Pool& pool, std::uint64_t user) {
  const Counts counts = pool.counts();
  EXPECT_TRUE(counts.law_holds()) << "capacity " << counts.capacity << " free " << counts.free << " cached "
                                  << counts.cached << " user " << counts.user << " ring " << counts.kernel_ring;
  EXPECT_EQ(counts.user, user);
  EXPECT_EQ(pool.check_all(), "");
}

/// Fills a buffer with a pattern of its own.
inline void mark(const Loan& loan, std::uint8_t seed) {
  std::fill(loan.bytes().begin(), loan.bytes().end(), std::byte{seed});
}
inline bool is_marked(const Loan& loan, std::uint8_t seed) {
  return std::all_of(loan.bytes().begin(), loan.bytes().end(), [&](std::byte b) { return b == std::byte{seed}; });
}

}  // namespace weir::testing
