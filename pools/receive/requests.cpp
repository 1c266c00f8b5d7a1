#include "receive/requests.h"

#include <poll.h>
#include <sys/socket.h>
#include <weir/receiver.h>

namespace weir::detail {
namespace {

constexpr unsigned kKindShift = 32;
constexpr unsigned kGroupShift = 40;
constexpr unsigned kOwnerShift = 56;

}  // namespace

std::uint64_t Requests::user_data(Kind kind, std::uint32_t connection) const noexcept {
  return Receiver::kOwner << kOwnerShift | std::uint64_t{group_} << kGroupShift |
         static_cast<std::uint64_t>(kind) << kKindShift | connection;
}

bool Requests::owns(const io_uring_cqe& cqe) const noexcept {
  return cqe.user_data >> kGroupShift == user_data(Kind::receive, 0) >> kGroupShift;
}

Requests::Kind Requests::kind_of(const io_uring_cqe& cqe) noexcept {
  return static_cast<Kind>(cqe.user_data >> kKindShift & 0xff);
}

std::uint32_t Requests::connection_of(const io_uring_cqe& cqe) noexcept {
  return static_cast<std::uint32_t>(cqe.user_data);
}

void Requests::note(const io_uring_cqe& cqe) noexcept {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --in_flight_;
}

/// Counted as with the kernel until its last completion; nullptr when the queue is full. The caller's prep sets all but
/// the user data.
io_uring_sqe* Requests::take(Kind kind, std::uint32_t connection) noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return nullptr;
  ++in_flight_;
  io_uring_sqe_set_data64(sqe, user_data(kind, connection));
  return sqe;
}

bool Requests::receive_from_ring(std::uint32_t connection, int fd) noexcept {
  io_uring_sqe* sqe = take(Kind::receive, connection);
  if (sqe == nullptr) return false;
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = group_;
  return true;
}

bool Requests::receive_into(std::uint32_t connection, int fd, std::span<std::byte> buffer, bool at_once) noexcept {
  io_uring_sqe* sqe = take(Kind::receive, connection);
  if (sqe == nullptr) return false;
  io_uring_prep_recv(sqe, fd, buffer.data(), buffer.size(), at_once ? MSG_DONTWAIT : 0);
  return true;
}

bool Requests::poll(Kind kind, std::uint32_t connection, int fd) noexcept {
  io_uring_sqe* sqe = take(kind, connection);
  if (sqe == nullptr) return false;
  io_uring_prep_poll_add(sqe, fd, POLLIN);
  return true;
}

std::size_t Requests::prepare_cancels() noexcept {
  std::size_t count = 0;
  for (; !to_cancel_.empty(); to_cancel_.pop_front(), ++count) {
    io_uring_sqe* sqe = take(Kind::cancel, 0);
    if (sqe == nullptr) break;
    io_uring_prep_cancel64(sqe, to_cancel_.front(), 0);
  }
  return count;
}

}  // namespace weir::detail
