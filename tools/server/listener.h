#pragma once

#include <string>
#include <utility>
#include <vector>

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

/// Those of the addresses, which are of one name, that are this machine's; the others leave the list. Port 0 becomes
/// the one that the kernel chose, the same for all. The port is then held, not yet listened on, as long as the result
/// lives. Throws Error when another socket listens there, or none of them is this machine's.
std::vector<Fd> claim_port(std::vector<Address>& addresses);

/// Sockets that listen at the addresses beside their like in this process: the kernel spreads connections over them.
/// REQUIRES: claim_port(addresses) succeeded.
std::vector<Fd> listen_at(const std::vector<Address>& addresses);

/// As they are shown: "127.0.0.1:7000 and [::1]:7000".
std::string text_of(const std::vector<Address>& addresses);

/// Each connection needs a file or two, of thousands of them: takes what the system allows.
void raise_file_limit();

}  // namespace weir::server
