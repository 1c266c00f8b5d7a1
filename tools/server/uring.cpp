#include "uring.h"

#include <weir/error.h>

#include <cerrno>
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

}  // namespace

Ring::Ring() {
  int error = set_up(ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  if (error == -EINVAL) error = set_up(ring_, 0);
  if (error != 0) throw Error(-error, "cannot make an io_uring: " + advice(error));
}

Ring::~Ring() { io_uring_queue_exit(&ring_); }

}  // namespace weir::server
