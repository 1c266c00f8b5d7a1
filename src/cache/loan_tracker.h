#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "stats/segment.h"

namespace weir::detail {

/// What a pool with WEIR_TRACE or WEIR_SCRUB does at each lend and drop. Such a pool has no magazines, so that each of
/// them comes by here; any other pool pays nothing. Thread safe.
class LoanTracker {
 public:
  /// Throws Error. REQUIRES: the pool's record, of that index, outlives it.
  LoanTracker(PoolRecord& pool, std::uint32_t pool_index, bool trace, bool scrub);
  ~LoanTracker();
  LoanTracker(const LoanTracker&) = delete;
  LoanTracker& operator=(const LoanTracker&) = delete;

  /// Notes who borrows, in the segment: the calling thread, its tag and its stack.
  void on_lend(const std::byte* buffer, std::uint32_t bytes) noexcept;
  /// Forgets it, and scrubs the buffer. A buffer that nobody borrowed is fatal, where that is traced.
  void on_drop(std::byte* buffer, std::uint32_t bytes) noexcept;
  /// Overwrites a buffer that comes home with zeros, where that is asked for. REQUIRES: the guards know of it already.
  void scrub(std::byte* buffer, std::uint32_t bytes) const noexcept;
  bool scrubs() const noexcept { return scrub_; }

  /// The oldest loans that are out, each with its borrower and stack, as lines; empty when it does not trace.
  std::string describe_oldest(std::size_t most) const;

 private:
  struct Borrows;

  PoolRecord& pool_;
  const std::uint32_t pool_index_;
  std::unique_ptr<Borrows> borrows_;  ///< nullptr: not traced
  bool scrub_;
};

}  // namespace weir::detail
