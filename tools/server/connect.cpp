#include "connect.h"

#include <fcntl.h>
#include <poll.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace weir::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{100};

/// Whether this machine has an address to reach it from. A datagram socket finds the same way, but takes no TCP port.
bool has_source_for(const Address& address) {
  const Fd probe(socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe.get() < 0 || connect(probe.get(), address.get(), address.length) == 0 || errno != EADDRNOTAVAIL;
}

int error_of(const Fd& socket) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

/// Attempts at the addresses of a name, one beside another when they take long.
class Race {
 public:
  explicit Race(std::span<const Address> addresses) : addresses_(addresses) {}

  bool is_lost() const { return next_ == addresses_.size() && running_.empty(); }
  const std::string& failures() const { return failures_; }
  int error() const { return error_; }

  /// Starts what is due, and waits a little. True when one has won, which is in `reached`.
  bool step(Reached& reached) {
    if (next_ < addresses_.size() && (running_.empty() || Clock::now() >= next_at_)) start(addresses_[next_++]);
    std::vector<pollfd> polls;
    for (const Reached& each : running_) polls.push_back({.fd = each.socket.get(), .events = POLLOUT, .revents = 0});
    if (polls.empty() || poll(polls.data(), polls.size(), static_cast<int>(pause().count())) <= 0) return false;
    for (std::size_t i = polls.size(); i > 0; --i) {
      if (polls[i - 1].revents == 0) continue;
      Reached one = std::move(running_[i - 1]);
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i - 1));
      if (const int error = error_of(one.socket); error != 0) {
        note_failure(one.address, error);
        continue;
      }
      reached = std::move(one);
      return true;
    }
    return false;
  }

 private:
  void start(const Address& address) {
    next_at_ = Clock::now() + kAttemptDelay;
    Fd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() < 0) return note_failure(address, errno);
    const int error = ::connect(socket.get(), address.get(), address.length) == 0 ? 0 : errno;
    if (error != 0 && error != EINPROGRESS) return note_failure(address, error);
    running_.push_back({address, std::move(socket)});
  }

  void note_failure(const Address& address, int error) {
    failures_ += (failures_.empty() ? "" : "; ") + connect_failure(address, -error);
    error_ = error;
  }

  std::chrono::milliseconds pause() const {
    if (next_ == addresses_.size()) return kBetweenLooks;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_at_ - Clock::now());
    return std::clamp(left, std::chrono::milliseconds{0}, kBetweenLooks);
  }

  std::span<const Address> addresses_;
  std::size_t next_ = 0;
  Clock::time_point next_at_{};
  std::vector<Reached> running_;
  std::string failures_;
  int error_ = 0;
};

}  // namespace

std::string connect_failure(const Address& address, int result) {
  const std::string what = address.text + ": " + std::strerror(-result);
  if (result == -EMFILE || result == -ENFILE) return what + ": raise `ulimit -n`";
  if (result != -EADDRNOTAVAIL) return what + ": is the server running there?";
  if (!has_source_for(address)) return what + ": this machine has no address to reach it from (see `ip addr`)";
  return what +
         ": all local ports towards it are in use: widen net.ipv4.ip_local_port_range, set net.ipv4.tcp_tw_reuse=1, or "
         "give the server more addresses";
}

Reached connect_first(std::span<const Address> addresses, const std::function<bool()>& stops) {
  Race race(addresses);
  Reached reached;
  while (!race.step(reached)) {
    if (stops()) return {};
    if (race.is_lost()) throw Error(race.error(), "cannot connect to " + race.failures());
  }
  fcntl(reached.socket.get(), F_SETFL, fcntl(reached.socket.get(), F_GETFL) & ~O_NONBLOCK);
  return reached;
}

}  // namespace weir::server
