#pragma once

#include <liburing.h>
#include <weir/pool.h>
#include <weir/receiver.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "address.h"
#include "listener.h"
#include "log.h"
#include "pair.h"
#include "uring.h"

namespace weir::proxy {

struct Settings {
  Address listen;
  Address upstream;
  unsigned threads = 1;
  std::chrono::seconds grace{30};
};

/// One thread's share of the proxy: its io_uring, its receiver, its listening socket and the pairs it has accepted.
class Worker {
 public:
  /// Throws Error. `finish` is an eventfd: once it is readable the worker stops accepting, and ends when all pairs have
  /// finished, been idle for a second, or had the grace time.
  /// REQUIRES: made, run and destroyed by one thread; the arguments outlive it.
  Worker(Pool& pool, const Settings& settings, int finish);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Relays until told to finish and the last pair is gone. Throws Error when the io_uring fails.
  void run();

  std::uint64_t accepted() const { return accepted_; }
  /// Pairs that the grace time was too short for.
  std::uint64_t cut() const { return cut_; }

 private:
  enum class Operation : std::uint8_t { accept, connect, send, finish, cancel };

  static std::uint64_t user_data(Operation operation, const void* subject);
  /// Puts a request on the submission queue, which is submitted first when it is full.
  template <typename Prepare>
  void request(Operation operation, const void* subject, Prepare prepare);

  void arm_accept();
  void watch_finish();
  void cancel(Operation operation, const void* subject);
  void end_requests();

  void wait(bool at_once);
  void reap();
  void handle(const io_uring_cqe& cqe);
  void tick();

  void on_accept(const io_uring_cqe& cqe);
  void on_connect(Pair& pair, int result);
  void on_received(Side& side, Received&& received);
  void on_sent(Side& side, int result);

  void list(Side& side);
  void count_backlog(Side& side);
  void send_listed();
  std::size_t outbox_limit() const;
  void settle(Pair& pair);
  void destroy(Pair& pair);
  void start_finishing();
  void finish_idle();
  void cut(Pair& pair);

  const Settings& settings_;
  Ring ring_;
  std::optional<Receiver> receiver_;
  std::size_t buffers_;  ///< of the receive class that this thread may fill outboxes with
  Fd listener_;
  const int finish_;
  bool finishing_ = false;
  bool accepting_ = false;
  std::size_t requests_ = 0;  ///< our own, with the kernel
  std::size_t backlogged_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t cut_ = 0;
  Clock::time_point now_ = Clock::now();
  Clock::time_point deadline_{};
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<Side*> to_send_;
  std::vector<Pair*> lingering_;
  RateLimit upstream_log_;
  RateLimit accept_log_;
};

}  // namespace weir::proxy
