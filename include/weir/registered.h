#pragma once

#include <liburing.h>
#include <weir/detail/export.h>
#include <weir/pool.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace weir {

/// A pool's memory registered with an io_uring, so that a loan of the pool is also a registered buffer for READ_FIXED,
/// WRITE_FIXED and SEND_ZC: pass index(loan) as the buffer index beside the loan's own address. The pool unmaps none of
/// that memory meanwhile. One request never uses both a registered and a provided buffer. Only the io_uring's owner
/// thread may use it.
class WEIR_API RegisteredPool {
 public:
  /// Pins the pool's arenas, in ranges of at most 1 GiB, and leaves indexes for those to come.
  /// Throws Error when the kernel refuses: buffers are registered already, or RLIMIT_MEMLOCK is too low.
  /// REQUIRES: pool and ring outlive this.
  RegisteredPool(Pool& pool, io_uring& ring);
  /// REQUIRES: no request that uses the indexes is in flight. In a child of fork it does nothing.
  ~RegisteredPool();
  RegisteredPool(const RegisteredPool&) = delete;
  RegisteredPool& operator=(const RegisteredPool&) = delete;

  /// Registers the arenas by which the pool has grown since. Throws Error when the kernel refuses one; what was
  /// registered before stays so.
  void refresh();

  /// Empty when the pool has grown by the loan's arena since the last refresh(): call that, or use no index.
  /// REQUIRES: the loan is of the pool.
  std::optional<std::uint16_t> index(const Loan& loan) const noexcept { return index_of(loan.data()); }

 private:
  struct Range {
    std::byte* base;
    std::size_t bytes;
    std::uint16_t index;
  };

  std::optional<std::uint16_t> index_of(const std::byte* address) const noexcept;
  /// Ranges of the arenas that have none yet, which are pinned.
  std::vector<Range> pin_new_ranges();
  void unpin(const std::vector<Range>& ranges);
  void add(const std::vector<Range>& ranges);

  Pool& pool_;
  io_uring& ring_;
  std::size_t slots_ = 0;      ///< indexes that there are
  std::vector<Range> ranges_;  ///< by address
};

}  // namespace weir
