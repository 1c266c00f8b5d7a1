#include "os/uring.h"

#include <cerrno>
#include <cstdint>

namespace weir::os {

int register_buffer_ring(io_uring& ring, void* memory, unsigned entries, unsigned short bgid) {
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = entries;
  request.bgid = bgid;
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

bool has_multishot_receive(io_uring& ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return false;
  const bool same_age = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) != 0;  // both came with Linux 6.0
  io_uring_free_probe(probe);
  return same_age;
}

}  // namespace weir::os
