#include "address.h"

#include <weir/error.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

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
  if (parts.host.empty()) refuse(text, "has no address before the port");
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

}  // namespace

Address parse_address(const std::string& text, Port port) {
  const Parts parts = split(text);
  check_port(text, parts.port, port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
  if (error != 0) refuse(text, "is not known (" + std::string(gai_strerror(error)) + ")");
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);
  Address address;
  std::memcpy(&address.storage, list->ai_addr, list->ai_addrlen);
  address.length = list->ai_addrlen;
  address.text = show(address);
  return address;
}

Address address_of(int fd) {
  Address address;
  address.length = sizeof address.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  address.text = show(address);
  return address;
}

}  // namespace weir::server
