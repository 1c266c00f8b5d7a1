#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

namespace weir::detail {

/// A receiver's requests: how they are prepared, how their completions are told from others', and how many the kernel
/// has. A connection has at most one of a kind at a time, so that kind and connection name it. What prepares one is
/// false when the submission queue is full.
class Requests {
 public:
  enum class Kind : std::uint8_t { receive, poll, cancel, event };

  /// `group` tells the receivers of an io_uring apart.
  Requests(io_uring& ring, std::uint16_t group) : ring_(ring), group_(group) {}

  bool owns(const io_uring_cqe& cqe) const noexcept;
  static Kind kind_of(const io_uring_cqe& cqe) noexcept;
  static std::uint32_t connection_of(const io_uring_cqe& cqe) noexcept;
  /// A completion was seen.
  void note(const io_uring_cqe& cqe) noexcept;
  std::size_t in_flight() const noexcept { return in_flight_; }

  bool receive_from_ring(std::uint32_t connection, int fd) noexcept;
  /// `at_once`: it fails with EAGAIN rather than wait.
  bool receive_into(std::uint32_t connection, int fd, std::span<std::byte> buffer, bool at_once) noexcept;
  bool poll(Kind kind, std::uint32_t connection, int fd) noexcept;
  /// Is prepared by the next prepare_cancels(), before any request that comes after it.
  void cancel(Kind kind, std::uint32_t connection) { to_cancel_.push_back(user_data(kind, connection)); }
  /// Returns how many it prepared; all, when has_cancels() is false then.
  std::size_t prepare_cancels() noexcept;
  bool has_cancels() const noexcept { return !to_cancel_.empty(); }

  std::uint16_t group() const noexcept { return group_; }
  io_uring& ring() const noexcept { return ring_; }
  /// True when all that was prepared is submitted and all completions were seen.
  bool is_settled() const noexcept { return io_uring_sq_ready(&ring_) == 0 && io_uring_cq_ready(&ring_) == 0; }

 private:
  std::uint64_t user_data(Kind kind, std::uint32_t connection) const noexcept;
  io_uring_sqe* take(Kind kind, std::uint32_t connection) noexcept;

  io_uring& ring_;
  const std::uint16_t group_;
  std::size_t in_flight_ = 0;
  std::deque<std::uint64_t> to_cancel_;
};

}  // namespace weir::detail
