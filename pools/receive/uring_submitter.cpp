#include "receive/uring_submitter.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "os/kernel_numbers.h"

namespace weir::detail {

/// Counted as with the kernel until its last completion; nullptr when the queue is full. The caller's prep sets all but
/// the user data.
io_uring_sqe* UringSubmitter::take_entry(RequestId id) noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return nullptr;
  note_request();
  io_uring_sqe_set_data64(sqe, user_data(id));
  return sqe;
}

int UringSubmitter::receive_from_ring(RequestId id, int fd, FromRing how) noexcept {
  io_uring_sqe* sqe = take_entry(id);
  if (sqe == nullptr) return -EAGAIN;
  io_uring_prep_recv(sqe, fd, nullptr, 0, how.once ? MSG_DONTWAIT : 0);
  if (!how.once) sqe->ioprio |= IORING_RECV_MULTISHOT;
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = how.group;
  if (how.polls_first) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  if (how.bundles) sqe->ioprio |= os::kernel::kRecvsendBundle;
  return 0;
}

int UringSubmitter::receive_into(RequestId id, int fd, std::span<std::byte> buffer, bool at_once) noexcept {
  io_uring_sqe* sqe = take_entry(id);
  if (sqe == nullptr) return -EAGAIN;
  io_uring_prep_recv(sqe, fd, buffer.data(), buffer.size(), at_once ? MSG_DONTWAIT : 0);
  return 0;
}

int UringSubmitter::poll(RequestId id, int fd) noexcept {
  io_uring_sqe* sqe = take_entry(id);
  if (sqe == nullptr) return -EAGAIN;
  io_uring_prep_poll_add(sqe, fd, POLLIN);
  return 0;
}

int UringSubmitter::cancel(RequestId id, int /*fd*/) noexcept {
  io_uring_sqe* sqe = take_entry({.kind = Kind::cancel, .generation = id.generation, .connection = id.connection});
  if (sqe == nullptr) return -EAGAIN;
  io_uring_prep_cancel64(sqe, user_data(id), 0);
  return 0;
}

}  // namespace weir::detail
