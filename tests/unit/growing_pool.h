#pragma once

#include <weir/pool.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>

#include "os/numa.h"
#include "pool_testing.h"

// Of pools whose helper thread grows them, shrinks them and calls back.

namespace weir::testing {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

inline std::size_t nodes() { return os::memory_nodes().size(); }

/// True as soon as it holds; false when it does not for long.
inline bool soon(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// 2 MiB on each node, in buffers of 64 KiB, which grows up to 8 MiB.
inline Options growing(std::size_t step) {
  Options options = one_class(2 * kMiB * nodes(), 65536);
  options.slab_bytes = 64 * kKiB;
  options.max_bytes = 8 * kMiB * nodes();
  options.grow_bytes = step;
  return options;
}

}  // namespace weir::testing
