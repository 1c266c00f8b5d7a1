#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "kernel/world.h"

// Pools with hardly a buffer.

namespace weir::testing {

/// A pool of exactly `buffers` buffers for use, of one class; a slab more holds the ring's entries.
inline Options scarce(std::size_t buffers, std::uint32_t entries, std::uint32_t bytes = 4096) {
  Options options = one_class(256 * 1024, bytes);
  options.slab_bytes = std::max<std::size_t>(64 * 1024, std::bit_ceil(bytes + 1) / 2);
  options.bytes = std::max<std::size_t>(options.bytes, (buffers * bytes) + options.slab_bytes);
  options.ring_entries = entries;
  return options;
}

/// Takes the pool's buffers until only `left` are free.
inline std::vector<Loan> take_all_but(World& world, std::size_t left) {
  std::vector<Loan> loans = lend_all(world.pool, 1);
  EXPECT_GE(loans.size(), left);
  loans.resize(loans.size() - left);
  world.pool.flush();
  return loans;
}

}  // namespace weir::testing
