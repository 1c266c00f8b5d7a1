#pragma once

#include <liburing.h>
#include <weir/pool.h>

#include <cstdint>

namespace weir {

/// A pool's memory registered with an io_uring, so that every loan of the pool is also a registered buffer for
/// READ_FIXED, WRITE_FIXED and SEND_ZC: pass index(loan) as the buffer index beside the loan's own address.
/// One request never uses both a registered and a provided buffer. Only the io_uring's owner thread may use it.
class RegisteredPool {
 public:
  /// Pins the pool's arenas, in ranges of at most 1 GiB.
  /// Throws Error when the kernel refuses: buffers are registered already, or RLIMIT_MEMLOCK is too low.
  /// REQUIRES: pool and ring outlive this.
  RegisteredPool(Pool& pool, io_uring& ring);
  /// REQUIRES: no request that uses the indexes is in flight. In a child of fork it does nothing.
  ~RegisteredPool();
  RegisteredPool(const RegisteredPool&) = delete;
  RegisteredPool& operator=(const RegisteredPool&) = delete;

  /// REQUIRES: the loan is of the pool.
  std::uint16_t index(const Loan& loan) const noexcept;

 private:
  Pool& pool_;
  io_uring& ring_;
};

}  // namespace weir
