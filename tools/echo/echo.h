#pragma once

#include <memory>
#include <vector>

#include "server/loop.h"
#include "server/tcp.h"

namespace weir::echo {

using server::Fd;
using server::Outlet;

/// A client: what comes in by it goes out by it.
struct Client : Inflow, Outlet {
  explicit Client(Fd file) : Outlet(std::move(file)) {}
  /// What was cut never looks whole.
  ~Client() {
    if (was_cut) server::reset_on_close(fd());
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  bool is_done() const { return ended && outbox.empty(); }

  std::size_t index = 0;  ///< in the echo's list
  bool ended = false;     ///< nothing more comes in
  bool paused = false;    ///< it reads more slowly than it writes
  bool was_cut = false;   ///< it gets a reset
  server::Clock::time_point last_active{};
};

/// One thread's share of the echo server. A client that has finished sending still gets all that it has sent.
class Echo final : public server::Loop {
 public:
  using Loop::Loop;

 private:
  void on_accepted(Fd file) override;
  void on_received(Inflow& inflow, Received&& received) override;
  void on_sent(Outlet& outlet, int result) override;
  void on_full(Outlet& outlet) override;
  void tick() override;
  void end_stalled() override;
  bool is_empty() const override { return clients_.empty(); }

  void note_silence(Client& client);
  void end(Client& client);
  void reset(Client& client);
  void settle(Client& client);
  void finish(Client& client);

  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace weir::echo
