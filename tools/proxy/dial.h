#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/backend.h"
#include "server/connect.h"
#include "upstream.h"

namespace weir::proxy {

class Pair;

/// A connect to one address of the upstream.
struct Attempt : server::Outlet {
  Attempt(Pair& owner, Address to, server::Fd file) : Outlet(std::move(file)), pair(owner), address(std::move(to)) {}
  Pair& pair;
  const Address address;
};

/// Makes a pair's connection to the upstream: tries one address after another, the next when one has failed or has not
/// answered for a quarter of a second (RFC 8305). The first that answers is taken.
class Dial {
 public:
  Dial(Pair& pair, Upstream& upstream, std::chrono::seconds patience)
      : pair_(pair), upstream_(upstream), addresses_(upstream.addresses()), patience_(patience) {}

  /// What has to be done by the clock: starts the next attempt, if it is due.
  void go_on(server::Backend& backend, server::Clock::time_point now);
  /// When that is to be called again at the latest.
  server::Clock::time_point due() const { return due_; }

  /// An attempt has ended, which is gone then: its socket, when it is the one to be taken.
  server::Fd take(server::Backend& backend, Attempt& attempt, int result, server::Clock::time_point now);
  /// No more attempts, and an end of those that run.
  void stop(server::Backend& backend);

  /// Nothing runs, and nothing will.
  bool is_over() const { return running_.empty() && due_ == server::Clock::time_point::max(); }
  const std::string& failures() const { return failures_; }

 private:
  void start(server::Backend& backend, const Address& address);
  void note_failure(const Address& address, int result);
  void look_up(server::Clock::time_point now);
  bool take_lookup(server::Clock::time_point now);

  Pair& pair_;
  Upstream& upstream_;
  Upstream::Addresses addresses_;
  const std::chrono::seconds patience_;
  std::size_t next_ = 0;  ///< of the addresses
  std::vector<std::unique_ptr<Attempt>> running_;
  server::Clock::time_point due_ = server::Clock::time_point::min();
  std::string failures_;
  bool stopped_ = false;
  bool looked_up_ = false;  ///< once is enough
  bool waits_for_lookup_ = false;
  std::uint64_t lookup_ = 0;  ///< that it waits for
  server::Clock::time_point lookup_end_{};
};

}  // namespace weir::proxy
