#pragma once

#include <memory>
#include <vector>

#include "pair.h"
#include "server/loop.h"

namespace weir::proxy {

using server::Address;
using server::Fd;
using server::Operation;
using server::Outlet;

/// One thread's share of the proxy: the pairs of connections that it has accepted and made.
class Worker final : public server::Loop {
 public:
  /// As Loop: when finishing it ends pairs that have been idle for a second, and all when the grace is over.
  Worker(Pool& pool, const server::Settings& settings, const Address& upstream, int finish)
      : Loop(pool, settings, finish), upstream_(upstream) {}

 private:
  void on_accepted(Fd client) override;
  void on_connected(Outlet& outlet, int result) override;
  void on_received(Inflow& inflow, Received&& received) override;
  void on_sent(Outlet& outlet, int result) override;
  void tick() override;
  bool needs_ticks() const override { return !lingering_.empty(); }
  bool is_empty() const override { return pairs_.empty(); }

  void settle(Pair& pair);
  void destroy(Pair& pair);
  void finish_idle();
  void cut(Pair& pair);

  const Address& upstream_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<Pair*> lingering_;
  server::RateLimit upstream_log_;
};

}  // namespace weir::proxy
