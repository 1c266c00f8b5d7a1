#pragma once

#include <liburing.h>
#include <sys/epoll.h>
#include <weir/detail/export.h>
#include <weir/loan.h>
#include <weir/pool.h>
#include <weir/strategy.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace weir {

class Receiver;
namespace detail {
class ReceiverState;
}

/// One connection's receive: embed it in your connection. It may be destroyed at any time, from inside a handler too:
/// that stops it. REQUIRES: it does not outlive its receiver; the receiver's thread alone uses it.
class WEIR_API Inflow {
 public:
  Inflow() = default;
  ~Inflow();
  Inflow(const Inflow&) = delete;
  Inflow& operator=(const Inflow&) = delete;

 private:
  friend class detail::ReceiverState;
  friend class AwaitedInflow;
  friend bool is_awaited(const Inflow& inflow) noexcept;
  detail::ReceiverState* receiver_ = nullptr;
  std::uint32_t slot_ = 0;
  bool awaited_ = false;  ///< it is a coroutine's: <weir/coroutine.h>
};

/// What a handler is given: data; or, once and last, how the inflow ended.
struct Received {
  Loan data;      ///< received bytes, in order; empty when the inflow has ended
  int error = 0;  ///< without data: 0 when the peer has finished sending, else an errno
  bool closed() const noexcept { return !data; }
};

/// Your epoll, which stays yours.
struct Epoll {
  int fd = -1;
};

/// Receives for many connections on your io_uring or epoll, into buffers of a pool. It prepares requests and
/// understands their completions; it never submits, never waits and owns no thread. Only the thread that owns the
/// io_uring or epoll may use it. As long as it lives, leave its eventfd open, as those: close what you know only.
///
/// Each connection has a Strategy: that of the pool's options, or its own. While nothing arrives it holds no buffer;
/// or, by a strategy that waits with one, none for longer than the option idle_ms. One that finds none for its data is
/// parked, first-in first-out, and woken by a buffer that comes home, from whichever thread: the parked come first, and
/// while there are any, no ring is given a buffer. So a connection that speaks all the time has at most what its ring
/// held when others were parked, `ring_entries` buffers, before it is in line behind them.
class WEIR_API Receiver {
 public:
  /// The top byte of the user_data of its requests and events. REQUIRES: your own user_data have another (pointers have
  /// 0).
  static constexpr std::uint64_t kOwner = 0xEE;

  /// On an io_uring. Where the strategy of the pool's options has buffer rings it registers the first, as group
  /// `group`; those that are needed later get the numbers after it, one for each size of buffer and kind of ring at
  /// most. Throws Error: no class holds receive_bytes, as BufferRing, the kernel is too old for the strategy, or the
  /// io_uring has IORING_SETUP_SQPOLL, with which a request could meet the next file of a descriptor that was closed.
  /// REQUIRES: pool and ring outlive this; no two receivers of an io_uring have groups in common.
  Receiver(Pool& pool, io_uring& ring, std::uint16_t group = 64);
  /// On an epoll, to which it adds an eventfd and the connections' files. Throws Error: the strategy of the pool's
  /// options is neither automatic nor epoll, no class holds receive_bytes, or files are short. REQUIRES: the pool
  /// outlives this; no two receivers of an epoll have the same `group`.
  Receiver(Pool& pool, Epoll epoll, std::uint16_t group = 64);
  /// REQUIRES: on an io_uring, !has_inflight(), else the buffers that the kernel may still write to are lost to the
  /// pool for ever, and it says so on standard error. In a child of fork it does nothing.
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Receives from `fd`, a stream socket, which stays yours: close it after stop() or the end of the inflow. The
  /// strategy is the receiver's where it is automatic. Throws Error when it is the first that needs a buffer ring, as
  /// the constructor, when there are 16,777,216 connections, and after stop_all(). REQUIRES: the inflow is not started;
  /// what turn() prepared is submitted before a file is closed.
  void start(Inflow& inflow, int fd, Strategy strategy = Strategy::automatic);
  /// Asks for no more data: its handler is not called until resume(). What the kernel has received by then is kept, in
  /// order: no more than its ring's or its own buffer.
  void pause(Inflow& inflow) noexcept;
  void resume(Inflow& inflow) noexcept;
  /// Ends it: its handler is not called again, and buffers that still come are dropped.
  void stop(Inflow& inflow) noexcept;

  /// True when the completion is of a request of this receiver: give it to complete().
  bool owns(const io_uring_cqe& cqe) const noexcept;
  /// The same of an event of the epoll.
  bool owns(const epoll_event& event) const noexcept;
  /// Calls `handler(Inflow&, Received)` for each piece of data that the completion brings, and for an end: mostly once.
  /// The handler may start, pause, resume, stop and destroy any inflow. REQUIRES: owns(cqe); the handler does not
  /// throw; the caller then marks the completion as seen.
  template <typename Handler>
  void complete(const io_uring_cqe& cqe, Handler&& handler) {
    hand_over(accept(cqe), handler);
  }
  template <typename Handler>
  void complete(const epoll_event& event, Handler&& handler) {
    hand_over(accept(event), handler);
  }

  /// Replenishes the buffer rings and prepares what is due. Call it after each batch of completions, before submitting.
  /// True when there is more to prepare: submit, and call it again before waiting.
  bool turn() noexcept;
  /// When turn() is due at the latest: connections then have been idle for too long. The far future when there are
  /// none. Who does not care may wait longer: idle connections then keep what they hold until the next turn.
  std::chrono::steady_clock::time_point next_deadline() const noexcept;

  /// Connections that wait for a buffer.
  std::size_t parked() const noexcept;

  /// Stops every inflow and the receiver's own requests, for good. After it, run your loop while has_inflight().
  void stop_all() noexcept;
  /// True while the kernel has a request of this receiver.
  bool has_inflight() const noexcept;

 private:
  friend class detail::ReceiverState;
  struct Delivery {
    Inflow* inflow = nullptr;  ///< nullptr: nobody is to be told anything
    Received received;
    bool more = false;  ///< call next()
  };

  Delivery accept(const io_uring_cqe& cqe) noexcept;
  Delivery accept(const epoll_event& event) noexcept;
  Delivery next() noexcept;

  template <typename Handler>
  void hand_over(Delivery delivery, Handler& handler) {
    for (;; delivery = next()) {
      if (delivery.inflow != nullptr) handler(*delivery.inflow, std::move(delivery.received));
      if (!delivery.more) return;
    }
  }

  std::unique_ptr<detail::ReceiverState> state_;
};

}  // namespace weir
