#include "tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace weir::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// An idle connection's peer is asked after a minute, and given up when it has been silent for another.
constexpr seconds kIdleBeforeProbe{60};
constexpr seconds kBetweenProbes{15};
constexpr int kProbes = 4;
constexpr seconds kLongestDelay{30};  // of the program, when it is to look
constexpr int kClosed = 7;            // TCP_CLOSE of <netinet/tcp.h>, which cannot be included beside <linux/tcp.h>

void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

void limit_silence(int fd, milliseconds patience) {
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(patience.count()));
}

/// All is 0 where the kernel says nothing.
tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}

}  // namespace

void send_without_delay(int fd) { set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

/// The kernel is to be the later one to lose patience with data that we know of, however busy the program is, for it
/// does not always tell why.
void notice_vanished(int fd, seconds patience) {
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(kIdleBeforeProbe.count()));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(kBetweenProbes.count()));
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  limit_silence(fd, patience.count() > 0 ? milliseconds(patience) * 3 / 2 + kLongestDelay : milliseconds(0));
}

void limit_connect(int fd, seconds patience) { limit_silence(fd, patience); }

void reset_on_close(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool is_connected(int fd) {
  const int state = info_of(fd).tcpi_state;
  return state != 0 && state != kClosed;
}

std::uint64_t acknowledged(int fd) { return info_of(fd).tcpi_bytes_acked; }

milliseconds since_last_send(int fd) { return milliseconds(info_of(fd).tcpi_last_data_sent); }

}  // namespace weir::server
