#include "os/uring.h"

#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "os/kernel_numbers.h"

namespace weir::os {
namespace {

/// Linux 6.13.11 to 6.15.3 hand out the buffers of a bundle in the wrong order. A distribution's release does not say
/// whether it has been mended, so these three are left out.
bool bundles_keep_order() {
  utsname name{};
  if (uname(&name) != 0) return false;
  char* rest = nullptr;
  const long version = std::strtol(static_cast<const char*>(name.release), &rest, 10);
  const long minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
  return version != 6 || minor < 13 || minor > 15;
}

}  // namespace

int register_buffer_ring(io_uring& ring, void* memory, unsigned entries, unsigned short bgid, bool incremental) {
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = entries;
  request.bgid = bgid;
  const std::uint16_t flags = incremental ? kernel::kBufferRingIncremental : 0;
  std::memcpy(reinterpret_cast<std::byte*>(&request) + kernel::kBufferRingFlags, &flags, sizeof flags);
  return io_uring_register_buf_ring(&ring, &request, 0);
}

int unregister_buffer_ring(io_uring& ring, unsigned short bgid) { return io_uring_unregister_buf_ring(&ring, bgid); }

int register_buffers(io_uring& ring, std::span<const iovec> ranges) {
  return io_uring_register_buffers(&ring, ranges.data(), static_cast<unsigned>(ranges.size()));
}

int update_buffers(io_uring& ring, unsigned first, std::span<const iovec> ranges) {
  const auto count = static_cast<unsigned>(ranges.size());
  const int updated = io_uring_register_buffers_update_tag(&ring, first, ranges.data(), nullptr, count);
  if (updated < 0) return updated;
  return static_cast<unsigned>(updated) == count ? 0 : -ENOMEM;
}

int unregister_buffers(io_uring& ring) { return io_uring_unregister_buffers(&ring); }

ReceiveFeatures probe_receives(io_uring& ring) {
  constexpr unsigned kMostOperations = 256;
  alignas(io_uring_probe) std::array<std::byte, sizeof(io_uring_probe) + kMostOperations * sizeof(io_uring_probe_op)>
      memory{};
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  if (const int error = io_uring_register_probe(&ring, probe, kMostOperations); error < 0) return {.error = error};
  const bool multishot = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) != 0;  // both came with Linux 6.0
  return {.multishot = multishot, .bundles = (ring.features & kernel::kFeatureBundle) != 0 && bundles_keep_order()};
}

}  // namespace weir::os
