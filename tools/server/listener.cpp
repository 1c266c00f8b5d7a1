#include "listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir/error.h>

#include <cerrno>

namespace weir::server {
namespace {

constexpr int kBacklog = 4096;

void set_option(int fd, int option) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
}

Fd make_socket(const Address& address) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) throw Error(errno, "cannot make a socket for " + address.text + ": raise `ulimit -n`");
  set_option(fd.get(), SO_REUSEADDR);
  return fd;
}

[[noreturn]] void refuse(const Address& address, int error) {
  const std::string what = "cannot listen at " + address.text + ": ";
  if (error == EADDRINUSE)
    throw Error(error, what + "the port is in use by another program; stop that, or choose another port");
  if (error == EACCES) throw Error(error, what + "ports below 1024 need root or CAP_NET_BIND_SERVICE");
  if (error == EADDRNOTAVAIL) throw Error(error, what + "the address is not of this machine (see `ip addr`)");
  throw Error(error, what + "the kernel refused");
}

void bind_to(int fd, const Address& address) {
  if (bind(fd, address.get(), address.length) != 0) refuse(address, errno);
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

Fd claim_port(Address& address) {
  {
    const Fd alone = make_socket(address);  // without SO_REUSEPORT it is refused where anybody listens
    bind_to(alone.get(), address);
    address = address_of(alone.get());
  }
  Fd claim = make_socket(address);
  set_option(claim.get(), SO_REUSEPORT);
  bind_to(claim.get(), address);
  return claim;
}

Fd listen_at(const Address& address) {
  Fd fd = make_socket(address);
  set_option(fd.get(), SO_REUSEPORT);
  bind_to(fd.get(), address);
  if (listen(fd.get(), kBacklog) != 0) refuse(address, errno);
  return fd;
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace weir::server
