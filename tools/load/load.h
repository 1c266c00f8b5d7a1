#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "common/end_signals.h"
#include "latencies.h"
#include "server/listener.h"
#include "stream.h"

namespace weir::load {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Plan {
  std::vector<server::Address> server;  ///< of its name
  unsigned active = 50;                 ///< connections that speak, wait for all of their echo, and speak again
  unsigned idle = 0;                    ///< speak once when they have connected, and at each wake
  unsigned slow = 0;                    ///< speak without end, and read nothing before the last
  std::vector<std::size_t> sizes{};     ///< bytes of a message, each as likely as the others
  Seconds warm_up{1};                   ///< not measured
  Seconds measure{10};
  Seconds wake_every{0};              ///< the idle speak, all at once, so often; 0: never
  std::chrono::microseconds spin{0};  ///< looks for so long before it sleeps
  pid_t server_pid = 0;               ///< whose CPU time and memory are measured; 0: nobody's
};

struct ServerUse {
  std::chrono::nanoseconds cpu{};  ///< while it was measured
  std::size_t bytes_before = 0;    ///< resident, huge pages included: before anybody connected
  std::size_t most_bytes = 0;
  std::size_t bytes_after = 0;  ///< at the end of the measured time, with all still connected
};

struct Outcome {
  Seconds measured{};
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;  ///< of messages, one way
  Latencies latencies{};    ///< from the first byte sent to the last received, of those that are active
  std::vector<std::chrono::nanoseconds> wakes{};  ///< until the last of the idle had its echo
  std::optional<ServerUse> server{};
};

/// Connections to an echo server. Every byte that comes back is compared.
class Load {
 public:
  Load(const Plan& plan, const common::EndSignals& signals) : plan_(plan), signals_(signals) {}

  /// Ends early when a signal has come. Throws Error when the server cannot be reached, closes a connection, or sends
  /// back anything but what it was sent.
  Outcome run();

 private:
  enum class Role : std::uint8_t { active, idle, slow };
  struct Connection {
    server::Fd socket;
    std::uint32_t index = 0;
    Role role = Role::active;
    bool awaits_room = false;       ///< its socket took a part of the message only
    std::uint64_t asked = 0;        ///< where in its stream the message ends that it speaks now
    std::size_t message_bytes = 0;  ///< of that
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    Clock::time_point began{};

    bool whole() const { return received == asked; }
  };

  server::Fd connect();
  void add_connection(Role role);
  void connect_all();
  void speak(Connection& connection, std::size_t bytes);
  void speak_all(Role role);
  void send_rest(Connection& connection);
  void receive(Connection& connection);
  void check(const Connection& connection, std::size_t bytes) const;
  void end_message(Connection& connection);
  void listen_for(Connection& connection);
  void wait(Clock::time_point until);
  void run_until(Clock::time_point end);
  void wake();
  void look();
  void measure();
  bool stopped() const { return signals_.came() != 0; }
  void say_last_words();
  std::size_t any_size() { return plan_.sizes[random_() % plan_.sizes.size()]; }

  const Plan& plan_;
  const common::EndSignals& signals_;
  const Stream stream_;
  const server::Fd epoll_{make_epoll()};
  std::vector<std::byte> buffer_ = std::vector<std::byte>(256 << 10);
  std::deque<Connection> connections_;
  std::optional<server::Address> reached_;  ///< by the first connection
  std::mt19937 random_{1};
  Outcome outcome_;
  bool measures_ = false;
  bool ends_ = false;
  std::size_t unanswered_ = 0;  ///< connections that are not whole
  unsigned waking_ = 0;         ///< idle ones without an echo yet
  Clock::time_point woken_{};
  Clock::time_point next_wake_ = Clock::time_point::max();
  Clock::time_point next_look_{};

  static int make_epoll();
};

}  // namespace weir::load
