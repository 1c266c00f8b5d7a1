#include "load.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "common/streams.h"
#include "process_use.h"
#include "server/connect.h"

namespace weir::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetweenLooks = 100ms;
constexpr auto kPatience = 30s;

std::string name_of(std::uint32_t index) { return "connection " + std::to_string(index); }

}  // namespace

Outcome Load::run() {
  if (plan_.server_pid != 0) {
    const std::size_t bytes = resident_bytes_of(plan_.server_pid);
    outcome_.server = ServerUse{.bytes_before = bytes, .most_bytes = bytes};
  }
  connect_all();
  if (stopped()) return std::move(outcome_);
  for (const Role role : {Role::idle, Role::slow, Role::active}) speak_all(role);
  run_until(Clock::now() + std::chrono::duration_cast<Clock::duration>(plan_.warm_up));
  measure();
  if (!stopped()) say_last_words();
  return std::move(outcome_);
}

void Load::connect_all() {
  for (const auto& [role, count] :
       {std::pair{Role::active, plan_.active}, {Role::idle, plan_.idle}, {Role::slow, plan_.slow}}) {
    for (unsigned i = 0; i < count && !stopped(); ++i) add_connection(role);
  }
}

/// Where the first one was reached, the others are expected as well.
server::Fd Load::connect() {
  const auto stops = [this] { return stopped(); };
  server::Reached reached = server::connect_first(reached_ ? std::span(&*reached_, 1) : std::span(plan_.server), stops);
  reached_ = reached.address;
  return std::move(reached.socket);
}

void Load::add_connection(Role role) {
  server::Fd socket = connect();
  if (stopped()) return;
  const std::size_t count = connections_.size();
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Connection& connection = connections_.emplace_back();
  connection.socket = std::move(socket);
  connection.index = static_cast<std::uint32_t>(count);
  connection.role = role;
  epoll_event event{.events = role == Role::slow ? 0U : EPOLLIN, .data = {.ptr = &connection}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket.get(), &event);
}

int Load::make_epoll() {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw Error(errno, "no epoll: the limit on open files is reached");
  return fd;
}

void Load::speak(Connection& connection, std::size_t bytes) {
  if (connection.whole()) ++unanswered_;
  connection.asked += bytes;
  connection.message_bytes = bytes;
  connection.began = Clock::now();
  send_rest(connection);
}

void Load::speak_all(Role role) {
  constexpr std::size_t kWithoutEnd = std::size_t{1} << 40;
  for (Connection& connection : connections_) {
    if (connection.role == role) speak(connection, role == Role::slow ? kWithoutEnd : any_size());
  }
}

void Load::send_rest(Connection& connection) {
  while (connection.sent < connection.asked) {
    const std::uint64_t left = connection.asked - connection.sent;
    const auto part = stream_.part(connection.index, connection.sent, std::min<std::uint64_t>(left, kLongestMessage));
    const ssize_t sent = send(connection.socket.get(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
      throw Error(errno, name_of(connection.index) + ": cannot send: " + std::strerror(errno));
    }
    if (sent < 0) break;
    connection.sent += static_cast<std::uint64_t>(sent);
  }
  const bool awaits_room = connection.sent < connection.asked;
  if (std::exchange(connection.awaits_room, awaits_room) != awaits_room) listen_for(connection);
}

void Load::listen_for(Connection& connection) {
  const bool reads = connection.role != Role::slow || ends_;
  epoll_event event{.events = (reads ? EPOLLIN : 0U) | (connection.awaits_room ? EPOLLOUT : 0U),
                    .data = {.ptr = &connection}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event);
}

void Load::receive(Connection& connection) {
  ssize_t count = 0;
  do {
    count = recv(connection.socket.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
      const std::string how = count == 0 ? "the server closed it" : std::strerror(errno);
      throw Error(count == 0 ? EPIPE : errno, name_of(connection.index) + ": " + how + " after " +
                                                  std::to_string(connection.received) + " of " +
                                                  std::to_string(connection.sent) + " bytes");
    }
    check(connection, static_cast<std::size_t>(count));
    connection.received += static_cast<std::uint64_t>(count);
    if (connection.whole()) end_message(connection);
  } while (static_cast<std::size_t>(count) == buffer_.size());
}

void Load::check(const Connection& connection, std::size_t bytes) const {
  const auto right = stream_.part(connection.index, connection.received, bytes);
  const auto wrong = std::mismatch(right.begin(), right.end(), buffer_.begin()).first - right.begin();
  if (static_cast<std::size_t>(wrong) == bytes && connection.received + bytes <= connection.sent) return;
  throw Error(EBADMSG, name_of(connection.index) + ": byte " +
                           std::to_string(connection.received + static_cast<std::uint64_t>(wrong)) +
                           " is not what was sent: it was lost, doubled or mixed up on its way");
}

void Load::end_message(Connection& connection) {
  --unanswered_;
  if (connection.role == Role::idle && waking_ > 0 && --waking_ == 0) outcome_.wakes.push_back(Clock::now() - woken_);
  if (connection.role != Role::active) return;
  if (measures_) {
    outcome_.latencies.add(Clock::now() - connection.began);
    ++outcome_.messages;
    outcome_.bytes += connection.message_bytes;
  }
  if (!ends_) speak(connection, any_size());
}

/// Looks for so long as the plan says before it sleeps; returns when there was something, or at `until`.
void Load::wait(Clock::time_point until) {
  std::array<epoll_event, 256> events{};
  const auto spin_end = std::min(Clock::now() + plan_.spin, until);
  int count = 0;
  if (plan_.spin.count() > 0) {
    do count = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    while (count == 0 && Clock::now() < spin_end);
  }
  if (count == 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    count = epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(std::max<long>(left, 0)));
  }
  for (int i = 0; i < count; ++i) {
    auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
    if ((events[static_cast<std::size_t>(i)].events & EPOLLOUT) != 0) send_rest(connection);
    if ((events[static_cast<std::size_t>(i)].events & ~EPOLLOUT) != 0) receive(connection);
  }
}

void Load::run_until(Clock::time_point end) {
  for (auto now = Clock::now(); now < end && !stopped(); now = Clock::now()) {
    if (now >= next_look_) look();
    if (now >= next_wake_ && waking_ == 0) wake();
    wait(std::min({end, next_look_, waking_ == 0 ? next_wake_ : end}));
  }
}

void Load::wake() {
  waking_ = plan_.idle;
  woken_ = Clock::now();
  next_wake_ = woken_ + std::chrono::duration_cast<Clock::duration>(plan_.wake_every);
  speak_all(Role::idle);
}

void Load::look() {
  next_look_ = Clock::now() + kBetweenLooks;
  if (outcome_.server) {
    outcome_.server->most_bytes = std::max(outcome_.server->most_bytes, resident_bytes_of(plan_.server_pid));
  }
  if (isatty(STDERR_FILENO) != 0) {
    common::write_passing("\r\033[K" + std::to_string(connections_.size()) + " connections, " +
                          std::to_string(outcome_.messages) + " messages");
  }
}

void Load::measure() {
  if (plan_.wake_every.count() > 0) next_wake_ = Clock::now();
  const auto cpu_before = outcome_.server ? cpu_time_of(plan_.server_pid) : 0ns;
  const auto began = Clock::now();
  measures_ = true;
  run_until(began + std::chrono::duration_cast<Clock::duration>(plan_.measure));
  measures_ = false;
  outcome_.measured = Clock::now() - began;
  next_wake_ = Clock::time_point::max();
  if (isatty(STDERR_FILENO) != 0) common::write_passing("\r\033[K");
  if (!outcome_.server) return;
  outcome_.server->cpu = cpu_time_of(plan_.server_pid) - cpu_before;
  outcome_.server->bytes_after = resident_bytes_of(plan_.server_pid);
}

/// Everybody has all of its echo, the slow and the idle too.
void Load::say_last_words() {
  ends_ = true;
  speak_all(Role::idle);
  for (Connection& connection : connections_) {
    if (connection.role != Role::slow) continue;
    connection.asked = connection.sent;
    connection.awaits_room = false;
    listen_for(connection);
    if (connection.whole()) --unanswered_;
  }
  const auto end = Clock::now() + kPatience;
  while (unanswered_ > 0) {
    if (Clock::now() > end) {
      throw Error(ETIMEDOUT, std::to_string(unanswered_) + " connections have not had all of their echo after " +
                                 std::to_string(kPatience.count()) + " s: the server holds it, or lost it");
    }
    wait(Clock::now() + kBetweenLooks);
  }
}

}  // namespace weir::load
