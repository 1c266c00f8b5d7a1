#pragma once

#include <fcntl.h>
#include <liburing.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "kernel/sockets.h"

// Real io_urings for the tests, which end with their owner.

namespace weir::testing {

inline constexpr unsigned kDeferred = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;

class Ring {
 public:
  /// Small, so that several fit a memlock limit of 64 KiB. Without an io_uring, `missing()` says why.
  explicit Ring(unsigned entries = 32, unsigned flags = 0, unsigned completions = 0) : entries_(entries) {
    wanted_.flags = flags | (completions > 0 ? IORING_SETUP_CQSIZE : 0U);
    wanted_.cq_entries = completions;
    begin();
  }
  ~Ring() { end(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring& get() { return ring_; }
  /// Makes another like the one that has ended.
  void begin() {
    error_ = patiently([&] {
      io_uring_params params = wanted_;
      return io_uring_queue_init_params(entries_, &ring_, &params);
    });
  }
  /// Ends it before its owner does.
  void end() {
    if (std::exchange(error_, -EBADF) == 0) io_uring_queue_exit(&ring_);
  }

  std::string missing() const {
    if (error_ == -EINVAL) return "no io_uring of this kind here: deferred task work needs Linux 6.1";
    return error_ == 0 ? "" : std::string("io_uring is refused here: ") + std::strerror(-error_);
  }

  /// Why the kernel takes no buffer rings; empty when it does.
  std::string missing_buffer_rings() {
    if (error_ != 0) return missing();
    void* memory = std::aligned_alloc(4096, 4096);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
    request.ring_entries = 1;
    request.bgid = 65535;
    const int error = patiently([&] { return io_uring_register_buf_ring(&ring_, &request, 0); });
    if (error == 0) io_uring_unregister_buf_ring(&ring_, 65535);
    std::free(memory);
    return error == 0 ? "" : std::string("no buffer rings here, which need Linux 5.19: ") + std::strerror(-error);
  }

  /// Why the kernel has no multishot receives; empty when it has.
  std::string missing_multishot() {
    if (const std::string missing = missing_buffer_rings(); !missing.empty()) return missing;
    io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    const bool there = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) != 0;
    io_uring_free_probe(probe);
    return there ? "" : "no multishot receives before Linux 6.0";
  }

  /// Submits what is prepared and waits for one completion, which is marked as seen.
  io_uring_cqe complete() {
    io_uring_submit_and_wait(&ring_, 1);
    io_uring_cqe* cqe = nullptr;
    io_uring_wait_cqe(&ring_, &cqe);
    const io_uring_cqe seen = *cqe;
    io_uring_cqe_seen(&ring_, cqe);
    return seen;
  }

 private:
  /// The kernel refunds the locked memory of earlier tests' rings only a while after their end.
  template <typename Attempt>
  static int patiently(Attempt attempt) {
    int error = attempt();
    for (int tries = 0; error == -ENOMEM && tries < 200; ++tries) {
      usleep(10'000);
      error = attempt();
    }
    return error;
  }

  const unsigned entries_;
  io_uring_params wanted_{};
  io_uring ring_{};
  int error_ = 0;
};

}  // namespace weir::testing
