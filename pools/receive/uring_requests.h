#pragma once

#include <liburing.h>

#include "receive/requests.h"

namespace weir::detail {

/// Requests on an io_uring: entries of its submission queue.
class UringRequests final : public Requests {
 public:
  UringRequests(io_uring& ring, std::uint16_t number) : Requests(number), ring_(ring) {}

  int receive_from_ring(Name name, int fd, FromRing how) noexcept override;
  int receive_into(Name name, int fd, std::span<std::byte> buffer, bool at_once) noexcept override;
  int poll(Name name, int fd) noexcept override;
  int cancel(Name name, int fd) noexcept override;
  bool cancels_at_once() const noexcept override { return false; }

 private:
  io_uring_sqe* take(Name name) noexcept;

  io_uring& ring_;
};

}  // namespace weir::detail
