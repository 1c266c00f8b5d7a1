#pragma once

#include <liburing.h>
#include <weir/pool.h>
#include <weir/receiver.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "address.h"
#include "listener.h"
#include "log.h"
#include "outbox.h"
#include "uring.h"

namespace weir::server {

using Clock = std::chrono::steady_clock;

struct Settings {
  Address listen;
  unsigned threads = 1;
  std::chrono::seconds grace{30};
};

/// A socket, and what is to leave by it.
struct Outlet {
  explicit Outlet(Fd file) : socket(std::move(file)) {}
  int fd() const { return socket.get(); }

  Fd socket;
  Outbox outbox;
  bool backlogged = false;  ///< the loop counts its outbox as one with something in it
  bool listed = false;      ///< the loop has it on its list of outboxes to send
};

/// One thread's share of a server: its io_uring, its receiver and its listening socket, and what leaves by its outlets.
/// What is accepted and received, and what ends, is the program's.
class Loop {
 public:
  /// Throws Error. `finish` is an eventfd: once it is readable the loop accepts no more, and ends when is_empty().
  /// REQUIRES: made, run and destroyed by one thread; the arguments outlive it.
  Loop(Pool& pool, const Settings& settings, int finish);
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Serves until told to finish and nobody is left. Throws Error when the io_uring fails.
  void run();

  std::uint64_t accepted() const { return accepted_; }
  /// Connections that the grace time was too short for.
  std::uint64_t cut() const { return cut_; }

 protected:
  enum class Operation : std::uint8_t { accept, finish, cancel, send, connect };

  virtual void on_accepted(Fd client) = 0;
  virtual void on_connected(void* subject, int result);
  virtual void on_received(Inflow& inflow, Received&& received) = 0;
  /// A send has ended, and the outbox knows; negative: an errno.
  virtual void on_sent(Outlet& outlet, int result) = 0;
  /// What must happen by the clock, every 20 ms while finishing or needs_ticks().
  virtual void tick() = 0;
  virtual bool needs_ticks() const { return false; }
  virtual bool is_empty() const = 0;

  /// Puts a request on the submission queue, which is submitted first when it is full. REQUIRES: the subject is aligned
  /// to 8.
  template <typename Prepare>
  void request(Operation operation, const void* subject, Prepare prepare);
  void cancel(Operation operation, const void* subject);

  Receiver& receiver() { return *receiver_; }
  Clock::time_point now() const { return now_; }
  bool finishing() const { return finishing_; }
  bool is_past_grace() const { return now_ > deadline_; }
  void note_cut() { ++cut_; }

  void push(Outlet& outlet, Loan&& loan);
  /// Call it after a change of the outbox by others.
  void count_backlog(Outlet& outlet);
  /// Most buffers in an outbox before its source is to be paused. Slow readers share half of what the thread's receives
  /// can use, so that they cannot starve the others.
  std::size_t outbox_limit() const;
  bool is_full(const Outlet& outlet) const { return outlet.outbox.size() >= outbox_limit(); }
  bool has_room(const Outlet& outlet) const { return outlet.outbox.size() <= outbox_limit() / 4; }
  /// The outlet is going away.
  void forget(Outlet& outlet);

 private:
  static std::uint64_t user_data(Operation operation, const void* subject);
  void arm_accept();
  void end_requests();
  void wait(bool at_once);
  void reap();
  void handle(const io_uring_cqe& cqe);
  void on_accept(const io_uring_cqe& cqe);
  void finish_send(Outlet& outlet, int result);
  void send_listed();
  void start_finishing();

  const Settings& settings_;
  Ring ring_;
  std::optional<Receiver> receiver_;
  std::size_t buffers_;  ///< of the receive class that this thread may fill outboxes with
  Fd listener_;
  const int finish_;
  bool finishing_ = false;
  bool accepting_ = false;
  bool accepts_many_ = true;  ///< by one request, from Linux 5.19 on
  std::size_t requests_ = 0;  ///< our own, with the kernel
  std::size_t backlogged_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t cut_ = 0;
  Clock::time_point now_ = Clock::now();
  Clock::time_point deadline_{};
  std::vector<Outlet*> to_send_;
  RateLimit accept_log_;
};

template <typename Prepare>
void Loop::request(Operation operation, const void* subject, Prepare prepare) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
  while (sqe == nullptr) {
    io_uring_submit(&ring_.get());
    sqe = io_uring_get_sqe(&ring_.get());
  }
  prepare(sqe);
  io_uring_sqe_set_data64(sqe, user_data(operation, subject));
  ++requests_;
}

/// Makes small answers leave at once.
void send_at_once(int fd);

}  // namespace weir::server
