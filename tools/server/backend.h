#pragma once

#include <weir/pool.h>
#include <weir/receiver.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>

#include "address.h"
#include "outbox.h"

namespace weir::server {

using Clock = std::chrono::steady_clock;

/// What a backend is asked to do.
enum class Operation : std::uint8_t { accept, finish, connect, send, poll };

/// How a loop gets its work done by the kernel: an io_uring, or an epoll. What is asked of it ends later, of which it
/// tells once, within dispatch(). REQUIRES: an outlet stays until then.
class Backend {
 public:
  class Events {
   public:
    /// The operation has ended; negative: an errno. Of an accept: the file of a connection, or why no more come. Of a
    /// poll: the events.
    virtual void on_ended(Operation operation, Outlet* outlet, int result) = 0;
    virtual void on_received(Inflow& inflow, Received&& received) = 0;

   protected:
    ~Events() = default;
  };

  virtual ~Backend() = default;

  virtual Receiver& receiver() = 0;

  /// Tells of each connection, until accepting fails at one of them or is cancelled. REQUIRES: the listeners stay until
  /// it has told of that, and it does not accept yet.
  virtual void accept(std::span<const Fd> listeners) = 0;
  /// Tells when the eventfd is readable.
  virtual void watch(int finish) = 0;
  virtual void connect(Outlet& outlet, const Address& address) = 0;
  /// Of what the outlet's outbox has. REQUIRES: it has some, and no send of it is in flight.
  virtual void send(Outlet& outlet) = 0;
  /// Tells of the first of these events: POLLRDHUP, or 0 for none but the connection's end, which are POLLERR and
  /// POLLHUP. REQUIRES: no poll of the outlet is in flight.
  virtual void poll(Outlet& outlet, unsigned events) = 0;
  /// The operation ends soon, by -ECANCELED if not otherwise. REQUIRES: it is an accept, or the outlet's.
  virtual void cancel(Operation operation, Outlet* outlet) = 0;

  /// Until there is something to tell, or the time has come; before it sleeps it looks for that until `awake_until`.
  /// Throws Error when the kernel refuses.
  virtual void wait(Clock::time_point until, Clock::time_point awake_until) = 0;
  virtual void dispatch() = 0;
  /// True while the kernel has something of this or of the receiver.
  virtual bool has_inflight() const = 0;
};

/// Each throws Error. REQUIRES: made, used and destroyed by one thread; pool and events outlive it.
std::unique_ptr<Backend> make_uring_backend(Pool& pool, Backend::Events& events);
std::unique_ptr<Backend> make_epoll_backend(Pool& pool, Backend::Events& events);

/// By the strategy of the pool's options. Where that is automatic and io_uring is refused, it is an epoll, which is
/// said once.
std::unique_ptr<Backend> make_backend(Pool& pool, Backend::Events& events);

}  // namespace weir::server
