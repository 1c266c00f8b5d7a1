#pragma once

#include <memory>
#include <vector>

#include "pair.h"
#include "server/loop.h"

namespace weir::proxy {

using server::Clock;
using server::Fd;
using server::Operation;
using server::Outlet;

/// One thread's share of the proxy: the pairs of connections that it has accepted and made.
class Worker final : public server::Loop {
 public:
  /// As Loop: when finishing it ends pairs that have been idle for a second, and all when the grace is over. An
  /// upstream that does not answer in `connect_patience` is not to be had; 0: the kernel decides.
  Worker(Pool& pool, const server::Settings& settings, Upstream& upstream, std::chrono::seconds connect_patience,
         int finish)
      : Loop(pool, settings, finish), upstream_(upstream), connect_patience_(connect_patience) {}

 private:
  void on_accepted(Fd client) override;
  void on_connected(Outlet& outlet, int result) override;
  void on_received(Inflow& inflow, Received&& received) override;
  void on_sent(Outlet& outlet, int result) override;
  void on_polled(Outlet& outlet, int result) override;
  void on_full(Outlet& outlet) override;
  void tick() override;
  Clock::time_point next_tick() const override { return next_look_; }
  void end_stalled() override;
  bool is_empty() const override { return pairs_.empty(); }

  void follow(Pair& pair);
  void settle(Pair& pair);
  void destroy(Pair& pair);
  void note_silence(Side& side);
  void poll_if_deaf(Side& side);
  void cancel_polls(Pair& pair);
  void watch(Pair& pair, Clock::duration first_pause);
  void look_by(Pair& pair, Clock::time_point time);
  void unwatch(Pair& pair);
  void look_at(Pair& pair);
  void look_at_connecting(Pair& pair);
  void give_up(Pair& pair);
  void finish_idle();
  void cut(Pair& pair);
  void reset(Pair& pair);

  Upstream& upstream_;
  const std::chrono::seconds connect_patience_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<Pair*> watched_;
  Clock::time_point next_look_ = Clock::time_point::max();
  server::RateLimit upstream_log_;
};

}  // namespace weir::proxy
