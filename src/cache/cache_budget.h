#pragma once

#include <weir/detail/magazine.h>

#include <cstddef>
#include <cstdint>

namespace weir::detail {

/// How much of a pool one thread may keep in its magazines of all size classes, beyond what each of them starts with.
/// A magazine that wants to grow asks here first, so that no buffer hides from other threads in a small pool. What a
/// thread keeps is noted for each pool apart, and by that thread alone.
class CacheBudget {
 public:
  /// Of the pool with that record, each thread may keep `bytes`. REQUIRES: pool < kMaxPools.
  CacheBudget(std::uint32_t pool, std::size_t bytes);

  /// Counts so much more as kept by the magazine's thread. False, with nothing counted, when that is beyond the budget.
  /// REQUIRES: as narrow(), the magazine is the calling thread's, in the segment.
  bool widen(const Magazine& magazine, std::size_t bytes) const noexcept;
  void narrow(const Magazine& magazine, std::size_t bytes) const noexcept;

 private:
  std::size_t& kept_by_thread_of(const Magazine& magazine) const noexcept;

  std::uint32_t pool_;
  std::uint64_t serial_;  ///< no two pools of a process have the same
  std::size_t bytes_;
};

/// The thread that takes this place keeps nothing yet. REQUIRES: place < kMaxThreads.
void forget_budgets(std::size_t place) noexcept;

}  // namespace weir::detail
