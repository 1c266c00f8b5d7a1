#pragma once

#include <liburing.h>

namespace weir::server {

/// A policy or a limit may refuse io_uring at any of its three calls.
struct Refusal {
  int error = 0;               ///< 0, or -errno
  const char* call = nullptr;  ///< nullptr when there is none
};

/// Tries those of its calls on an io_uring that come after its making, which is io_uring_setup.
Refusal try_calls(io_uring& ring);

/// An io_uring of the calling thread, with task work deferred to its waits where the kernel can (Linux 6.1).
class Ring {
 public:
  /// Throws Error that says why io_uring is refused and how to allow it.
  Ring();
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  io_uring& get() { return ring_; }

 private:
  io_uring ring_{};
};

}  // namespace weir::server
