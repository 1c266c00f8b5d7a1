#pragma once

#include <liburing.h>

#include <cstddef>
#include <span>

// What the kernel's io_uring is asked outside of queues. Every function returns 0 or -errno.

namespace weir::os {

/// Registers `entries` slots at `memory` as the buffer ring of group `bgid`. -EINVAL before Linux 5.19.
/// REQUIRES: memory is page-aligned and holds entries * 16 bytes; entries is a power of two of at most 32,768.
int register_buffer_ring(io_uring& ring, void* memory, unsigned entries, unsigned short bgid);
int unregister_buffer_ring(io_uring& ring, unsigned short bgid);

/// Pins the ranges, by index; one of nothing leaves its index empty, from Linux 5.13 on, and is -EFAULT before.
/// REQUIRES: none is larger than 1 GiB.
int register_buffers(io_uring& ring, std::span<const iovec> ranges);
/// Pins the ranges at the indexes from `first` on, which are there and empty. -EINVAL before Linux 5.13.
int update_buffers(io_uring& ring, unsigned first, std::span<const iovec> ranges);
int unregister_buffers(io_uring& ring);

/// True on Linux 6.0 or newer, which has receives that stay armed.
bool has_multishot_receive(io_uring& ring);

}  // namespace weir::os
