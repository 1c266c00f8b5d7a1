#pragma once

#include <weir/pool.h>
#include <weir/receiver.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "address.h"
#include "backend.h"
#include "listener.h"
#include "log.h"
#include "outbox.h"

namespace weir::server {

struct Settings {
  std::vector<Address> listen;
  unsigned threads = 1;
  std::chrono::seconds grace{30};
  std::chrono::microseconds spin{0};  ///< for which a thread looks for events before it sleeps
  std::chrono::seconds patience{0};   ///< with a peer that takes nothing of what is sent to it; 0: without end
};

/// Connections that were accepted, and of those:
struct Tally {
  std::uint64_t accepted = 0;
  std::uint64_t cut = 0;          ///< the grace time was too short
  std::uint64_t turned_away = 0;  ///< the upstream was not to be had
  std::uint64_t timed_out = 0;    ///< they were silent, or took nothing, for too long
};

/// One thread's share of a server: its io_uring or epoll, its receiver and its listening socket, and what leaves by its
/// outlets. What is accepted and received, and what ends, is the program's.
class Loop : private Backend::Events {
 public:
  /// Throws Error. `finish` is an eventfd: once it is readable the loop accepts no more, and ends when is_empty().
  /// REQUIRES: made, run and destroyed by one thread; the arguments outlive it.
  Loop(Pool& pool, const Settings& settings, int finish);
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Serves until told to finish and nobody is left. Throws Error when the kernel refuses to.
  void run();

  const Tally& tally() const { return tally_; }

 protected:
  virtual void on_accepted(Fd client) = 0;
  virtual void on_connected(Outlet& outlet, int result);
  /// The events that a poll has told of, or -ECANCELED.
  virtual void on_polled(Outlet& outlet, int result);
  /// A send has ended, and the outbox knows; negative: an errno.
  virtual void on_sent(Outlet& outlet, int result) = 0;
  /// The outbox has so much that its source is to be paused.
  virtual void on_full(Outlet& outlet) = 0;
  /// What must happen by the clock: at next_tick(), and every 20 ms while finishing.
  virtual void tick() = 0;
  virtual Clock::time_point next_tick() const { return Clock::time_point::max(); }
  /// Ends those of which an outlet is_stalled(), now and then.
  virtual void end_stalled() = 0;
  virtual bool is_empty() const = 0;

  Backend& backend() { return *backend_; }
  Receiver& receiver() { return backend_->receiver(); }
  Clock::time_point now() const { return now_; }
  const Settings& settings() const { return settings_; }
  bool finishing() const { return finishing_; }
  bool is_past_grace() const { return now_ > deadline_; }
  void note_cut() { ++tally_.cut; }
  void note_turned_away() { ++tally_.turned_away; }
  void note_timed_out(const char* why);

  void push(Outlet& outlet, Loan&& loan);
  /// Call it after a change of the outbox by others.
  void count_queued(Outlet& outlet);
  bool has_room(const Outlet& outlet) const { return outlet.outbox.size() <= outbox_limit() / 4; }
  /// Its peer has taken nothing for longer than is borne.
  bool is_stalled(Outlet& outlet) const;
  /// Nothing has left by it, or moved since `last_active`, for as long as WEIR_DEADLINE says.
  bool is_silent(const Outlet& outlet, Clock::time_point last_active) const;
  /// The outlet is going away.
  void forget(Outlet& outlet);

 private:
  void on_ended(Operation operation, Outlet* outlet, int result) final;
  void accept_connections();
  void end_requests();
  void wait(bool at_once);
  void dispatch();
  void tick_in_time();
  void note_accept(int result);
  void note_send(Outlet& outlet, int result);
  void send_listed();
  bool sends_at_once(std::size_t bytes) const;
  bool has_sent(Outlet& outlet);
  /// What slow readers may hold together, so that they cannot starve the others: a quarter of the thread's part of the
  /// pool.
  std::size_t share() const { return units_ / 4; }
  std::size_t outbox_limit() const;
  bool is_full(const Outlet& outlet) const { return outlet.outbox.size() >= outbox_limit(); }
  void tell_full();
  void start_finishing();

  const Settings& settings_;
  std::unique_ptr<Backend> backend_;
  std::size_t units_;  ///< of the pool, this thread's part
  const std::chrono::milliseconds silence_limit_;
  std::vector<Fd> listeners_;
  const int finish_;
  bool finishing_ = false;
  bool accepting_ = false;
  std::size_t queued_ = 0;  ///< units lent to all outboxes: no more than share()
  Tally tally_;
  Clock::time_point now_ = Clock::now();
  Clock::time_point deadline_{};
  Clock::time_point earliest_tick_{};
  Clock::time_point next_sweep_ = Clock::time_point::max();
  Clock::time_point accept_again_{};  ///< after a failure, which would fail at once again
  std::vector<Outlet*> to_send_;
  std::vector<Outlet*> full_;
  RateLimit accept_log_;
  RateLimit timeout_log_;
};

}  // namespace weir::server
