#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <string>

namespace weir::server {

/// A TCP endpoint that a socket call understands.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text;  ///< as it is shown: 127.0.0.1:6379 or [::1]:6379

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// A port to listen at may be 0: any free one.
enum class Port : bool { must_be_given, may_be_chosen };

/// "127.0.0.1:6379", "[::1]:6379" or "name:6379". Throws Error that says what is wrong with the text.
Address parse_address(const std::string& text, Port port);

/// The address that the socket is bound to.
Address address_of(int fd);

}  // namespace weir::server
