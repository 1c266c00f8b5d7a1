#pragma once

#include <liburing.h>
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
class Inflow {
 public:
  Inflow() = default;
  ~Inflow();
  Inflow(const Inflow&) = delete;
  Inflow& operator=(const Inflow&) = delete;

 private:
  friend class detail::ReceiverState;
  detail::ReceiverState* receiver_ = nullptr;
  std::uint32_t slot_ = 0;
};

/// What a handler is given: data; or, once and last, how the inflow ended.
struct Received {
  Loan data;      ///< received bytes, in order; empty when the inflow has ended
  int error = 0;  ///< without data: 0 when the peer has finished sending, else an errno
  bool closed() const noexcept { return !data; }
};

/// Receives for many connections on your io_uring, into buffers of a pool. It prepares requests and understands their
/// completions; it never submits, never waits and owns no thread. Only the io_uring's owner thread may use it.
///
/// Each connection has a Strategy: that of the pool's options, or its own. While nothing arrives it holds no buffer, or
/// (Strategy::direct) none for longer than the option idle_ms. One that finds none for its data is parked, first-in
/// first-out, and woken by a buffer that comes home, from whichever thread.
class Receiver {
 public:
  /// The top byte of the user_data of its requests. REQUIRES: your own user_data have another (pointers have 0).
  static constexpr std::uint64_t kOwner = 0xEE;

  /// Where the strategy of the pool's options is ring, or automatic on a kernel that can, it registers a buffer ring as
  /// group `group`, sized by the options receive_bytes and ring_entries. Throws Error: no class holds receive_bytes, as
  /// BufferRing, or when the strategy is ring and Linux is older than 6.0.
  /// REQUIRES: pool and ring outlive this; no two receivers of an io_uring have the same group.
  Receiver(Pool& pool, io_uring& ring, std::uint16_t group = 64);
  /// REQUIRES: quiet(), else the buffers that the kernel may still write to are lost to the pool for ever, and it says
  /// so on standard error. In a child of fork it does nothing.
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Receives from `fd`, which stays yours: close it after stop() or the end of the inflow. The strategy is the
  /// receiver's where it is automatic. Throws Error when it is the first that needs a buffer ring, as the constructor.
  /// REQUIRES: the inflow is not started; what turn() prepared is submitted before a file is closed.
  void start(Inflow& inflow, int fd, Strategy strategy = Strategy::automatic);
  /// Asks for no more data. What the kernel has received by then is still delivered, in order.
  void pause(Inflow& inflow) noexcept;
  void resume(Inflow& inflow) noexcept;
  /// Ends it: its handler is not called again, and buffers that still come are dropped.
  void stop(Inflow& inflow) noexcept;

  /// True when the completion is of a request of this receiver: give it to complete().
  bool owns(const io_uring_cqe& cqe) const noexcept;
  /// Calls `handler(Inflow&, Received)` at most once. The handler may start, pause, stop and destroy any inflow.
  /// REQUIRES: owns(cqe); the caller then marks the completion as seen.
  template <typename Handler>
  void complete(const io_uring_cqe& cqe, Handler&& handler) {
    Received received;
    if (Inflow* inflow = accept(cqe, received)) std::forward<Handler>(handler)(*inflow, std::move(received));
  }

  /// Replenishes the buffer ring and prepares what is due. Call it after each batch of completions, before submitting.
  /// True when there is more to prepare: submit, and call it again before waiting.
  bool turn() noexcept;
  /// When turn() is due at the latest: connections then have been idle for too long. The far future when there are
  /// none. Who does not care may wait longer: idle connections then keep what they hold until the next turn.
  std::chrono::steady_clock::time_point next_deadline() const noexcept;

  /// Connections that wait for a buffer.
  std::size_t parked() const noexcept;

  /// Stops every inflow and the receiver's own requests. After it, run your loop until quiet().
  void stop_all() noexcept;
  /// True when the kernel has no request of this receiver.
  bool quiet() const noexcept;

 private:
  Inflow* accept(const io_uring_cqe& cqe, Received& received) noexcept;

  std::unique_ptr<detail::ReceiverState> state_;
};

}  // namespace weir
