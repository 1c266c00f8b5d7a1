#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "sim/files.h"

namespace weir::sim {

/// What the kernel tells of a request, with the memory that it brings back.
struct Completion {
  std::uint64_t user_data = 0;
  int result = 0;
  std::uint32_t flags = 0;
  std::shared_ptr<File> file{};
  std::vector<Range> buffers{};
  unsigned slots = 0;            ///< of a buffer ring that it empties
  std::vector<Range> retired{};  ///< whole buffers of which it brings the last slice
};

/// The memory behind a struct io_uring, as the kernel reads and writes it, and the completions that found no room.
class Queues {
 public:
  /// REQUIRES: both are powers of two.
  Queues(unsigned submissions, unsigned completions, unsigned flags);
  Queues(const Queues&) = delete;
  Queues& operator=(const Queues&) = delete;

  io_uring& ring() { return ring_; }
  bool deferred() const { return (ring_.flags & IORING_SETUP_DEFER_TASKRUN) != 0; }

  /// Takes all that was prepared.
  std::vector<io_uring_sqe> take_submissions();
  /// What was prepared and not taken yet.
  std::vector<const io_uring_sqe*> prepared() const;

  /// It is kept back while there is no room, and with it all that come after.
  void post(Completion completion);
  /// True when a completion would have to be kept back.
  bool full() const;
  /// Shows what was kept back, as far as there is room now.
  void flush();

  /// Those that the user has not seen, in order.
  const std::deque<Completion>& unseen();

 private:
  void show(const Completion& completion);
  void forget_seen();

  struct Shared {
    unsigned head = 0;
    unsigned tail = 0;
    unsigned mask = 0;
    unsigned entries = 0;
    unsigned flags = 0;
    unsigned lost = 0;
  };
  Shared submission_;
  Shared completion_;
  std::vector<unsigned> order_;
  std::vector<io_uring_sqe> sqes_;
  std::vector<io_uring_cqe> cqes_;
  io_uring ring_{};
  std::deque<Completion> unseen_;
  unsigned shown_ = 0;       ///< how many of `unseen_` are in the queue
  unsigned seen_until_ = 0;  ///< the head up to which completions were forgotten
};

}  // namespace weir::sim
