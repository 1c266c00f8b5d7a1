#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

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

/// Those of "127.0.0.1:6379", "[::1]:6379" or "name:6379", none of them twice and those of IPv6 and of IPv4 in turn:
/// who tries one after another is not kept by a family that does not work. To listen there, where the port may be
/// chosen, "*:6379" and ":6379" are all of this machine's. Throws Error that says what is wrong with the text.
std::vector<Address> parse_addresses(const std::string& text, Port port);

/// True where the text has an address, and no name that may have other addresses later.
bool is_literal(const std::string& text);

bool operator==(const Address& left, const Address& right);
/// 0.0.0.0 or [::].
bool is_any(const Address& address);
void set_port(Address& address, in_port_t port);
in_port_t port_of(const Address& address);

/// The address that the socket is bound to.
Address address_of(int fd);

}  // namespace weir::server
