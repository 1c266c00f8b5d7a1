#pragma once

#include <liburing.h>

namespace weir::server {

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
