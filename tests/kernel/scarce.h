#pragma once

#include <algorithm>
#include <vector>

#include "kernel/world.h"

// Pools with hardly a buffer.

namespace weir::testing {

/// A pool of `buffers` buffers of 4 KiB and a ring of as many entries, for which there is a slab more.
inline Options scarce(std::size_t buffers) {
  Options options = one_class(256 * 1024, 4096);
  options.slab_bytes = 64 * 1024;
  options.bytes = std::max<std::size_t>(options.bytes, (buffers * 4096) + options.slab_bytes);
  options.ring_entries = static_cast<std::uint32_t>(buffers);
  options.idle_ms = 20;
  return options;
}

/// Takes the pool's buffers until only `left` are free.
inline std::vector<Loan> take_all_but(World& world, std::size_t left) {
  std::vector<Loan> loans = lend_all(world.pool, 4096);
  EXPECT_GE(loans.size(), left);
  loans.resize(loans.size() - left);
  world.pool.flush();
  return loans;
}

}  // namespace weir::testing
