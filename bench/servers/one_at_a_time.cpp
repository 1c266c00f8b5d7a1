#include "one_at_a_time.h"

#include <sys/socket.h>

namespace bench {
namespace {

constexpr std::size_t kBytes = 16 << 10;

}  // namespace

io_uring_sqe* OneAtATime::receive(TurnClient& client) {
  if (!client.buffer) client.buffer = std::make_unique_for_overwrite<std::byte[]>(kBytes);
  io_uring_sqe* sqe = request(Operation::receive, &client);
  io_uring_prep_recv(sqe, client.fd(), client.buffer.get(), kBytes, 0);
  return sqe;
}

void OneAtATime::send(TurnClient& client) {
  io_uring_prep_send(request(Operation::send, &client), client.fd(), client.buffer.get() + client.sent,
                     client.filled - client.sent, MSG_NOSIGNAL);
}

void OneAtATime::on_accepted(weir::server::Fd file) {
  auto client = std::make_unique<TurnClient>(std::move(file));
  await(*client.release());  // its own owner, until it ends
}

void OneAtATime::on_ended(Operation operation, UringClient& ended, const io_uring_cqe& cqe) {
  auto& client = static_cast<TurnClient&>(ended);
  if (cqe.res <= 0) {
    delete &client;
  } else if (operation == Operation::poll) {
    receive(client);
  } else if (operation == Operation::receive) {
    client.filled = static_cast<std::size_t>(cqe.res);
    client.has_more = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    client.sent = 0;
    send(client);
  } else {
    on_sent(client, static_cast<std::size_t>(cqe.res));
  }
}

void OneAtATime::on_sent(TurnClient& client, std::size_t bytes) {
  client.sent += bytes;
  if (client.sent < client.filled) {
    send(client);
  } else if (client.has_more) {
    receive(client);
  } else {
    await(client);
  }
}

}  // namespace bench
