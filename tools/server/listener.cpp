#include "listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir/error.h>

#include <cerrno>
#include <cstring>

namespace weir::server {
namespace {

constexpr int kBacklog = 4096;
constexpr int kTries = 20;  // to find a port that is free at all addresses

void set_option(int fd, int level, int option, bool on, const char* name) {
  const int value = on ? 1 : 0;
  if (setsockopt(fd, level, option, &value, sizeof value) == 0) return;
  throw Error(errno, "cannot listen: setsockopt(" + std::string(name) + ") is refused (" + std::strerror(errno) +
                         "): a sandbox (seccomp, a container's profile) forbids it");
}

Fd make_socket(const Address& address) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 && errno != EAFNOSUPPORT)
    throw Error(errno, "cannot make a socket for " + address.text + ": raise `ulimit -n`");
  if (fd.get() >= 0) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, true, "SO_REUSEADDR");
  return fd;
}

[[noreturn]] void refuse(const Address& address, int error) {
  const std::string what = "cannot listen at " + address.text + ": ";
  if (error == EADDRINUSE)
    throw Error(error, what + "the port is in use by another program; stop that, or choose another port");
  if (error == EACCES) throw Error(error, what + "ports below 1024 need root or CAP_NET_BIND_SERVICE");
  if (error == EADDRNOTAVAIL) throw Error(error, what + "the address is not of this machine (see `ip addr`)");
  if (error == EAFNOSUPPORT) throw Error(error, what + "this machine has no such protocol (IPv6 is off)");
  throw Error(error == EINVAL ? EADDRNOTAVAIL : error, what + "the kernel refused: " + std::strerror(error));
}

/// 0 or an errno. [::] takes what comes by IPv4 as well, unless 0.0.0.0 is there for that.
int try_to_bind(const Fd& fd, const Address& address, bool others) {
  if (fd.get() < 0) return EAFNOSUPPORT;
  if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, others, "IPV6_V6ONLY");
  return bind(fd.get(), address.get(), address.length) == 0 ? 0 : errno;
}

/// A socket that shares the port with its like.
Fd bind_shared(const Address& address, bool others) {
  Fd fd = make_socket(address);
  set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, true, "SO_REUSEPORT");
  const int error = try_to_bind(fd, address, others);
  if (error != 0) refuse(address, error);
  return fd;
}

/// Where nobody listens now. Without SO_REUSEPORT it is refused where anybody does. Chooses the port 0.
int try_alone(Address& address, bool others) {
  const Fd alone = make_socket(address);
  const int error = try_to_bind(alone, address, others);
  if (error == 0) address = address_of(alone.get());
  return error;
}

bool is_not_here(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

/// Those that are this machine's, at one port; empty where that one, which the first of them chose, is not free at the
/// others.
std::vector<Address> bindable(const std::vector<Address>& addresses) {
  std::vector<Address> here;
  int last_error = 0;
  for (Address each : addresses) {
    const bool chosen = port_of(each) == 0;
    if (chosen && !here.empty()) set_port(each, port_of(here.front()));
    const int error = try_alone(each, addresses.size() > 1);
    if (error == EADDRINUSE && chosen && !here.empty()) return {};
    if (error != 0 && !is_not_here(error)) refuse(each, error);
    error == 0 ? here.push_back(each) : void(last_error = error);
  }
  if (here.empty()) refuse(addresses.front(), last_error);
  return here;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

std::vector<Fd> claim_port(std::vector<Address>& addresses) {
  std::vector<Address> here;
  for (int tries = 0; here.empty(); ++tries) {
    if (tries == kTries) throw Error(EADDRINUSE, "no port is free at all of " + text_of(addresses) + ": choose one");
    here = bindable(addresses);
  }
  std::vector<Fd> claims;
  claims.reserve(here.size());
  for (const Address& each : here) claims.push_back(bind_shared(each, addresses.size() > 1));
  addresses = std::move(here);
  return claims;
}

std::vector<Fd> listen_at(const std::vector<Address>& addresses) {
  std::vector<Fd> listening;
  for (const Address& each : addresses) {
    listening.push_back(bind_shared(each, addresses.size() > 1));
    if (listen(listening.back().get(), kBacklog) != 0) refuse(each, errno);
  }
  return listening;
}

std::string text_of(const std::vector<Address>& addresses) {
  std::string text;
  for (const Address& each : addresses) text += (text.empty() ? "" : " and ") + each.text;
  return text;
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace weir::server
