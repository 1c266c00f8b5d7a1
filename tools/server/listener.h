#pragma once

#include <utility>

#include "address.h"

namespace weir::server {

/// A file descriptor that is closed with it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  /// Somebody else closes it.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Throws Error when another socket listens there, or the address is not this machine's. Its port 0 becomes the one
/// that the kernel chose. The port is then held, not yet listened on, as long as the result lives.
Fd claim_port(Address& address);

/// A socket that listens at the address beside its like in this process: the kernel spreads connections over them.
/// REQUIRES: claim_port(address) succeeded.
Fd listen_at(const Address& address);

/// Each connection needs a file or two, of thousands of them: takes what the system allows.
void raise_file_limit();

}  // namespace weir::server
