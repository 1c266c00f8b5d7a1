#include "ring_server.h"

#include <sys/mman.h>
#include <weir/error.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "os/kernel_numbers.h"

namespace bench {
namespace {

constexpr std::uint16_t kGroup = 64;  // below that, Linux 6.1 mistakes a ring for an earlier one
constexpr std::size_t kMostBuffers = 32768;
constexpr std::size_t kMostSent = 16;  // pieces by one send

std::size_t count_of(const Task& task, std::size_t buffer_bytes) {
  return std::clamp<std::size_t>(std::bit_floor(task.pool_bytes / buffer_bytes), 1, kMostBuffers);
}

/// Debian 12's liburing does not know of flags: they follow the group.
void register_ring(io_uring& ring, io_uring_buf_ring* entries, std::size_t count, std::uint16_t flags) {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries);
  registration.ring_entries = static_cast<unsigned>(count);
  registration.bgid = kGroup;
  auto* bytes = reinterpret_cast<std::byte*>(&registration);
  std::memcpy(bytes + weir::os::kernel::kBufferRingFlags, &flags, sizeof flags);
  const int error = io_uring_register_buf_ring(&ring, &registration, 0);
  if (error != 0) throw weir::Error(-error, "this kernel has no such buffer ring (5.19; 6.12 for an incremental one)");
}

}  // namespace

RingServer::RingServer(const Task& task, std::size_t buffer_bytes, std::uint16_t flags)
    : UringServer(task.listener),
      buffer_bytes_(buffer_bytes),
      buffers_(count_of(task, buffer_bytes)),
      memory_(std::make_unique_for_overwrite<std::byte[]>(buffers_ * buffer_bytes)),
      entries_bytes_(buffers_ * sizeof(io_uring_buf)) {
  void* entries = mmap(nullptr, entries_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (entries == MAP_FAILED) throw weir::Error(errno, "there is no memory for the ring");
  entries_ = static_cast<io_uring_buf_ring*>(entries);
  register_ring(ring(), entries_, buffers_, flags);
  io_uring_buf_ring_init(entries_);
  for (std::size_t i = 0; i < buffers_; ++i) give_back(static_cast<std::uint16_t>(i));
  io_uring_buf_ring_advance(entries_, std::exchange(not_shown_, 0));
}

RingServer::~RingServer() { munmap(entries_, entries_bytes_); }

void RingServer::give_back(std::uint16_t number) {
  io_uring_buf_ring_add(entries_, buffer(number), static_cast<unsigned>(buffer_bytes_), number,
                        io_uring_buf_ring_mask(static_cast<unsigned>(buffers_)), not_shown_++);
  ++provided_;
}

void RingServer::on_accepted(weir::server::Fd file) {
  auto client = std::make_unique<RingClient>(std::move(file));
  arm(*client.release());  // its own owner, until it is done
}

void RingServer::on_ended(Operation operation, UringClient& ended, const io_uring_cqe& cqe) {
  auto& client = static_cast<RingClient&>(ended);
  operation == Operation::receive ? on_received(client, cqe) : on_sent(client, cqe.res);
  if (client.is_done()) delete &client;
}

/// Then the kernel has all that is free, and of those who wait for a buffer so many go on as there are buffers.
void RingServer::on_all_told() {
  for (RingClient* client : to_send_) send(*client);
  to_send_.clear();
  if (not_shown_ > 0) io_uring_buf_ring_advance(entries_, std::exchange(not_shown_, 0));
  for (std::size_t i = std::min(room(), parked_.size()); i > 0; --i) {
    RingClient& client = *parked_.front();
    parked_.pop_front();
    client.parked = false;
    arm(client);
  }
}

void RingServer::on_received(RingClient& client, const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) client.armed = client.cancelled = false;
  if (cqe.res > 0) {
    const Piece piece = claim(cqe);
    if (client.ended) return drop(piece);
    client.outbox.push_back(piece);
    list(client);
    if (client.is_full()) cancel(client);
  } else if (cqe.res == -ENOBUFS) {
    return park(client);
  } else if (cqe.res != -ECANCELED) {
    client.ended = true;
    if (cqe.res < 0 && !client.sending) drop_all(client);  // else the send's failure does
  }
  go_on(client);
}

/// Receives again, if it may and does not.
void RingServer::go_on(RingClient& client) {
  if (client.armed || client.parked || client.ended || client.is_full()) return;
  arm(client);
}

void RingServer::park(RingClient& client) {
  client.parked = true;
  parked_.push_back(&client);
}

void RingServer::arm(RingClient& client) {
  io_uring_sqe* sqe = request(Operation::receive, &client);
  io_uring_prep_recv_multishot(sqe, client.fd(), nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kGroup;
  client.armed = true;
}

void RingServer::cancel(RingClient& client) {
  if (!client.armed || std::exchange(client.cancelled, true)) return;
  io_uring_prep_cancel64(request(Operation::cancel, nullptr), name_of(Operation::receive, &client), 0);
}

void RingServer::list(RingClient& client) {
  if (!client.sending && !std::exchange(client.listed, true)) to_send_.push_back(&client);
}

void RingServer::send(RingClient& client) {
  client.listed = false;
  if (client.outbox.empty()) {  // dropped since
    if (client.is_done()) delete &client;
    return;
  }
  client.vectors.clear();
  for (const Piece& piece : std::span(client.outbox).first(std::min(client.outbox.size(), kMostSent))) {
    client.vectors.push_back({piece.data, piece.bytes});
  }
  client.message.msg_iov = client.vectors.data();
  client.message.msg_iovlen = client.vectors.size();
  client.sending = true;
  io_uring_prep_sendmsg(request(Operation::send, &client), client.fd(), &client.message, MSG_NOSIGNAL | MSG_WAITALL);
}

void RingServer::on_sent(RingClient& client, int result) {
  client.sending = false;
  if (result < 0) {
    drop_all(client);
    shutdown(client.fd(), SHUT_RDWR);  // which ends the receive
  } else {
    drop_sent(client, static_cast<std::size_t>(result));
  }
  if (!client.outbox.empty()) return list(client);
  go_on(client);
}

void RingServer::drop_sent(RingClient& client, std::size_t bytes) {
  auto piece = client.outbox.begin();
  while (bytes > 0) {
    const std::size_t count = std::min(bytes, piece->bytes);
    piece->data += count;
    piece->bytes -= count;
    bytes -= count;
    if (piece->bytes == 0) drop(*piece++);
  }
  client.outbox.erase(client.outbox.begin(), piece);
}

void RingServer::drop_all(RingClient& client) {
  for (const Piece& piece : client.outbox) drop(piece);
  client.outbox.clear();
}

}  // namespace bench
