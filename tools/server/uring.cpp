#include "uring.h"

#include <weir/error.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace weir::server {
namespace {

constexpr unsigned kEntries = 1024;
constexpr unsigned kCompletions = 16384;

int set_up(io_uring& ring, unsigned flags) {
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | flags;
  params.cq_entries = kCompletions;
  return io_uring_queue_init_params(kEntries, &ring, &params);
}

std::string advice(int error) {
  if (error == -EPERM || error == -EACCES) {
    return "it is forbidden here: see `sysctl kernel.io_uring_disabled` (0 allows it), or the container's seccomp "
           "profile (Docker's default forbids it)";
  }
  if (error == -ENOSYS) return "there is none: Linux 5.10 or newer is needed, and a seccomp profile that allows it";
  if (error == -ENOMEM) return "memory or the memlock limit is short: raise `ulimit -l`";
  return "the kernel refused";
}

[[noreturn]] void refuse(const Refusal& refusal) {
  throw Error(-refusal.error, "cannot make an io_uring: " + std::string(refusal.call) + " failed (" +
                                  std::strerror(-refusal.error) + "); " + advice(refusal.error));
}

/// 0, or -errno.
int try_to_enter(io_uring& ring) {
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  const int submitted = io_uring_submit_and_wait(&ring, 1);
  if (submitted < 0) return submitted;
  io_uring_cqe* cqe = nullptr;
  const int error = io_uring_peek_cqe(&ring, &cqe);
  if (error == 0) io_uring_cqe_seen(&ring, cqe);
  return error;
}

int try_to_register(io_uring& ring) {
  alignas(io_uring_probe) std::array<std::byte, sizeof(io_uring_probe)> nothing{};
  return io_uring_register_probe(&ring, reinterpret_cast<io_uring_probe*>(nothing.data()), 0);
}

}  // namespace

Refusal try_calls(io_uring& ring) {
  if (const int error = try_to_enter(ring); error != 0) return {error, "io_uring_enter"};
  if (const int error = try_to_register(ring); error != 0) return {error, "io_uring_register"};
  return {};
}

Ring::Ring() {
  int error = set_up(ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  if (error == -EINVAL) error = set_up(ring_, 0);
  if (error != 0) refuse({error, "io_uring_setup"});
  const Refusal refusal = try_calls(ring_);
  if (refusal.call == nullptr) return;
  io_uring_queue_exit(&ring_);
  refuse(refusal);
}

Ring::~Ring() { io_uring_queue_exit(&ring_); }

}  // namespace weir::server
