#include "uring_server.h"

#include <weir/error.h>

#include <cerrno>

#include "server/loop.h"

namespace bench {
namespace {

constexpr std::uint64_t kOperationMask = 7;
static_assert(alignof(UringClient) > kOperationMask);

}  // namespace

void UringServer::run() {
  accept();
  for (;;) {
    const int error = io_uring_submit_and_wait(&ring(), 1);
    if (error < 0 && error != -EINTR && error != -EBUSY && error != -EAGAIN) {
      throw weir::Error(-error, "the io_uring cannot be waited for");
    }
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring(), head, cqe) {
      handle(*cqe);
      ++seen;
    }
    io_uring_cq_advance(&ring(), seen);
    on_all_told();
  }
}

/// The user data of a request: the operation in the low bits of the client's address.
std::uint64_t UringServer::name_of(Operation operation, const UringClient* client) {
  return reinterpret_cast<std::uintptr_t>(client) | static_cast<std::uint64_t>(operation);
}

io_uring_sqe* UringServer::request(Operation operation, UringClient* client) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring());
  while (sqe == nullptr) {
    io_uring_submit(&ring());
    sqe = io_uring_get_sqe(&ring());
  }
  io_uring_sqe_set_data64(sqe, name_of(operation, client));
  return sqe;
}

void UringServer::accept() {
  io_uring_prep_multishot_accept(request(Operation::accept, nullptr), listener_, nullptr, nullptr, SOCK_CLOEXEC);
}

void UringServer::handle(const io_uring_cqe& cqe) {
  const auto operation = static_cast<Operation>(cqe.user_data & kOperationMask);
  if (operation == Operation::cancel) return;
  if (operation != Operation::accept) {
    return on_ended(operation, *reinterpret_cast<UringClient*>(cqe.user_data & ~kOperationMask), cqe);
  }
  if (cqe.res >= 0) {
    weir::server::Fd file(cqe.res);
    weir::server::send_without_delay(file.get());
    on_accepted(std::move(file));
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) accept();
}

}  // namespace bench
