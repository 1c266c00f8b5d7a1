#pragma once

#include <liburing.h>

#include "receive/submitter.h"

namespace weir::detail {

/// A submitter of an io_uring: entries of its submission queue.
class UringSubmitter final : public Submitter {
 public:
  UringSubmitter(io_uring& ring, std::uint16_t number) : Submitter(number), ring_(ring) {}

  int receive_from_ring(RequestId id, int fd, FromRing how) noexcept override;
  int receive_into(RequestId id, int fd, std::span<std::byte> buffer, bool at_once) noexcept override;
  int poll(RequestId id, int fd) noexcept override;
  int cancel(RequestId id, int fd) noexcept override;
  bool cancels_at_once() const noexcept override { return false; }

 private:
  io_uring_sqe* take_entry(RequestId id) noexcept;

  io_uring& ring_;
};

}  // namespace weir::detail
