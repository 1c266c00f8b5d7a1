#pragma once

#include <weir/receiver.h>

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <utility>
#include <vector>

// Receiving by coroutines, whatever type of yours runs them: a thin layer over Receiver, on the same loop. It owns no
// coroutine and allocates none.

namespace weir {

/// An inflow whose data a coroutine awaits: `Received what = co_await inflow.receive();`. The coroutine goes on within
/// Receiver::complete(). What arrives while nobody awaits is kept, in order; when that is kMostKept pieces, the inflow
/// is paused until they are taken.
///
/// It, and a coroutine that waits for it, may be destroyed at any time, from inside handlers and coroutines too.
/// REQUIRES: as Inflow. End it before Receiver::stop_all(), which tells nobody, so that its coroutine would wait on.
class AwaitedInflow : private Inflow {
 public:
  static constexpr std::size_t kMostKept = 4;

  class Receiving;

  /// Starts it, as Receiver::start() does.
  AwaitedInflow(Receiver& receiver, int fd, Strategy strategy = Strategy::automatic) : receiver_(receiver) {
    awaited_ = true;
    receiver_.start(*this, fd, strategy);
  }
  /// Ends it, as stop() does.
  ~AwaitedInflow() { end(ECANCELED); }
  AwaitedInflow(const AwaitedInflow&) = delete;
  AwaitedInflow& operator=(const AwaitedInflow&) = delete;

  /// Awaited, it gives data; or, once the inflow has ended and from then on at once, how it did.
  /// REQUIRES: it is awaited where it is called, by one coroutine at a time.
  [[nodiscard]] Receiving receive() noexcept;

  /// Ends it with ECANCELED, unless it has ended: what is kept is dropped, and the coroutine that waits goes on before
  /// this returns.
  void stop() {
    receiver_.stop(*this);
    end(ECANCELED);
  }

 private:
  friend void resume_awaiting(Inflow& inflow, Received received);

  bool is_ready() const noexcept { return ended_ || !kept_.empty(); }

  /// REQUIRES: is_ready().
  Received take() {
    if (kept_.empty()) return {.data = {}, .error = error_};
    Received next{.data = std::move(kept_.front())};
    kept_.erase(kept_.begin());
    if (kept_.empty() && std::exchange(paused_, false)) receiver_.resume(*this);
    return next;
  }

  void arrive(Received&& received) {
    if (received.closed()) {
      ended_ = true;
      error_ = received.error;
    }
    if (waiting_ != nullptr) return hand_over(std::move(received));
    if (received.closed()) return;
    kept_.push_back(std::move(received.data));
    if (kept_.size() >= kMostKept && !std::exchange(paused_, true)) receiver_.pause(*this);
  }

  void end(int error) {
    if (std::exchange(ended_, true)) return;
    error_ = error;
    kept_.clear();
    if (waiting_ != nullptr) hand_over({.data = {}, .error = error});
  }

  /// The coroutine may destroy this. REQUIRES: one waits.
  inline void hand_over(Received&& received);

  Receiver& receiver_;
  Receiving* waiting_ = nullptr;
  std::vector<Loan> kept_;
  int error_ = 0;
  bool ended_ = false;
  bool paused_ = false;
};

/// What AwaitedInflow::receive() gives a coroutine to await.
class AwaitedInflow::Receiving {
 public:
  explicit Receiving(AwaitedInflow& inflow) noexcept : inflow_(&inflow) {}
  ~Receiving() {
    if (inflow_ != nullptr && inflow_->waiting_ == this) inflow_->waiting_ = nullptr;
  }
  Receiving(const Receiving&) = delete;
  Receiving& operator=(const Receiving&) = delete;

  bool await_ready() const noexcept { return inflow_->is_ready(); }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    inflow_->waiting_ = this;
  }
  Received await_resume() { return inflow_ != nullptr ? inflow_->take() : std::move(received_); }

 private:
  friend class AwaitedInflow;
  AwaitedInflow* inflow_;  ///< nullptr: it has handed over what arrived, and may be gone
  std::coroutine_handle<> waiter_;
  Received received_;
};

inline AwaitedInflow::Receiving AwaitedInflow::receive() noexcept { return Receiving(*this); }

inline void AwaitedInflow::hand_over(Received&& received) {
  Receiving& receiving = *std::exchange(waiting_, nullptr);
  receiving.inflow_ = nullptr;
  receiving.received_ = std::move(received);
  receiving.waiter_.resume();
}

/// True when what arrived is for a coroutine: resume_awaiting() is its handler.
inline bool is_awaited(const Inflow& inflow) noexcept { return inflow.awaited_; }

/// The handler for Receiver::complete() of awaited inflows: the coroutine that waits for it goes on.
/// REQUIRES: is_awaited(inflow).
inline void resume_awaiting(Inflow& inflow, Received received) {
  static_cast<AwaitedInflow&>(inflow).arrive(std::move(received));
}

}  // namespace weir
