#include "address.h"

#include <arpa/inet.h>
#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

#include "common/numbers.h"

namespace weir::server {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Error(EINVAL, "'" + common::shown(text) + "' " + why +
                          "; an address looks like 127.0.0.1:6379, [::1]:6379 or localhost:6379");
}

struct Parts {
  std::string host;
  std::string port;
};

Parts split(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) refuse(text, "has no port");
  Parts parts{text.substr(0, colon), text.substr(colon + 1)};
  if (parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.find(':') != std::string::npos) {
    refuse(text, "has several colons: put an IPv6 address in brackets");
  }
  return parts;
}

void check_port(const std::string& text, const std::string& port, Port kind) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const unsigned least = kind == Port::may_be_chosen ? 0 : 1;
  if (error != std::errc{} || end != port.data() + port.size() || number < least || number > 65535) {
    refuse(text, "has the port '" + common::shown(port) + "', which is no number from " + std::to_string(least) +
                     " to 65535");
  }
}

std::string show(const Address& address) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  getnameinfo(address.get(), address.length, host.data(), host.size(), port.data(), port.size(),
              NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string name = host.data();
  return (address.family() == AF_INET6 ? "[" + name + "]" : name) + ":" + port.data();
}

[[noreturn]] void refuse_unknown(const std::string& text, int error) {
  const std::string why = "is not known (" + std::string(gai_strerror(error)) + ")";
  if (error != EAI_AGAIN) refuse(text, why);
  throw Error(EAGAIN, "'" + common::shown(text) + "' " + why + ": no name server answers, see /etc/resolv.conf");
}

template <typename Kind>
const Kind& as(const Address& address) {
  return reinterpret_cast<const Kind&>(address.storage);
}

/// An IPv4 address that is written as one of IPv6 is one of IPv4.
Address unmapped(const Address& address) {
  if (address.family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&as<sockaddr_in6>(address).sin6_addr)) return address;
  sockaddr_in plain{};
  plain.sin_family = AF_INET;
  plain.sin_port = as<sockaddr_in6>(address).sin6_port;
  std::memcpy(&plain.sin_addr, &as<sockaddr_in6>(address).sin6_addr.s6_addr[12], sizeof plain.sin_addr);
  Address result;
  std::memcpy(&result.storage, &plain, sizeof plain);
  result.length = sizeof plain;
  return result;
}

/// The hosts file names some twice.
void add(std::vector<Address>& addresses, const addrinfo& found) {
  Address address;
  std::memcpy(&address.storage, found.ai_addr, found.ai_addrlen);
  address.length = found.ai_addrlen;
  address = unmapped(address);
  address.text = show(address);
  if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
}

bool lacks_interface(const Address& address) {
  const auto& ip = as<sockaddr_in6>(address);
  return address.family() == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&ip.sin6_addr) && ip.sin6_scope_id == 0;
}

/// The first one's family first; within a family the resolver's order, which is that of preference.
std::vector<Address> families_in_turn(std::vector<Address> addresses) {
  const int first = addresses.front().family();
  const auto others = std::stable_partition(addresses.begin(), addresses.end(),
                                            [&](const Address& each) { return each.family() == first; });
  std::vector<Address> mixed;
  for (auto one = addresses.begin(), other = others; one != others || other != addresses.end();) {
    if (one != others) mixed.push_back(*one++);
    if (other != addresses.end()) mixed.push_back(*other++);
  }
  return mixed;
}

}  // namespace

std::vector<Address> parse_addresses(const std::string& text, Port port) {
  const Parts parts = split(text);
  check_port(text, parts.port, port);
  if (parts.host.empty() && text.starts_with('[')) refuse(text, "has no address in the brackets");
  const bool all = port == Port::may_be_chosen && (parts.host.empty() || parts.host == "*");
  if (parts.host.empty() && !all) refuse(text, "has no address before the port");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = all ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(all ? nullptr : parts.host.c_str(), parts.port.c_str(), &hints, &found);
  if (error != 0) refuse_unknown(text, error);
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);
  std::vector<Address> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) add(addresses, *each);
  if (is_literal(text) && lacks_interface(addresses.front()))
    refuse(text, "is of one interface and does not name it, as in [fe80::1%eth0]:6379");
  return families_in_turn(std::move(addresses));
}

bool is_literal(const std::string& text) {
  const std::string host = split(text).host;
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &address) == 1;
}

bool operator==(const Address& left, const Address& right) {
  return left.length == right.length && std::memcmp(&left.storage, &right.storage, left.length) == 0;
}

bool is_any(const Address& address) {
  if (address.family() == AF_INET) return as<sockaddr_in>(address).sin_addr.s_addr == INADDR_ANY;
  return IN6_IS_ADDR_UNSPECIFIED(&as<sockaddr_in6>(address).sin6_addr);
}

in_port_t port_of(const Address& address) {
  return ntohs(as<sockaddr_in>(address).sin_port);  // at the same place in both families
}

void set_port(Address& address, in_port_t port) {
  reinterpret_cast<sockaddr_in&>(address.storage).sin_port = htons(port);
  address.text = show(address);
}

Address address_of(int fd) {
  Address address;
  address.length = sizeof address.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  address.text = show(address);
  return address;
}

}  // namespace weir::server
