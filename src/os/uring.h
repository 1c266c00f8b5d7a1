#pragma once

#include <liburing.h>

#include <cstddef>
#include <span>

// What the kernel's io_uring is asked outside of queues. Every function returns 0 or -errno.

namespace weir::os {

/// Registers `entries` slots at `memory` as the buffer ring of group `bgid`. -EINVAL before Linux 5.19.
/// `incremental`: receives fill a buffer piece by piece; -EINVAL before Linux 6.12.
/// REQUIRES: memory is page-aligned and holds entries * 16 bytes; entries is a power of two of at most 32,768.
int register_buffer_ring(io_uring& ring, void* memory, unsigned entries, unsigned short bgid, bool incremental);
int unregister_buffer_ring(io_uring& ring, unsigned short bgid);

/// Pins the ranges, by index; one of nothing leaves its index empty, from Linux 5.13 on, and is -EFAULT before.
/// REQUIRES: none is larger than 1 GiB.
int register_buffers(io_uring& ring, std::span<const iovec> ranges);
/// Pins the ranges at the indexes from `first` on, which are there and empty. -EINVAL before Linux 5.13.
int update_buffers(io_uring& ring, unsigned first, std::span<const iovec> ranges);
int unregister_buffers(io_uring& ring);

/// What the kernel's receives can do.
struct ReceiveFeatures {
  bool multishot = false;  ///< stay armed: Linux 6.0
  bool bundles = false;    ///< fill several buffers at once, in order: Linux 6.10, but not 6.13 to 6.15
  int error = 0;           ///< -errno where the kernel did not tell
};
ReceiveFeatures probe_receives(io_uring& ring);

}  // namespace weir::os
