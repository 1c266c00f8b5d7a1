#include "upstream.h"

#include <sys/socket.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "server/listener.h"

namespace weir::proxy {
namespace {

constexpr std::chrono::seconds kFresh{1};

/// Whether the address is one of this machine's, at any port.
bool is_here(Address address) {
  server::set_port(address, 0);
  const server::Fd probe(socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return bind(probe.get(), address.get(), address.length) == 0;
}

/// Who connects to 0.0.0.0 or [::] reaches the loopback address.
Address meant(const Address& address) {
  if (!server::is_any(address)) return address;
  const std::string host = address.family() == AF_INET ? "127.0.0.1:" : "[::1]:";
  return server::parse_addresses(host + std::to_string(server::port_of(address)), server::Port::must_be_given).front();
}

bool listens_at(const std::vector<Address>& listening, const Address& upstream) {
  const Address address = meant(upstream);
  const bool both = listening.size() == 1;  // [::] alone is reached by IPv4 too
  return std::any_of(listening.begin(), listening.end(), [&](const Address& each) {
    if (server::port_of(each) != server::port_of(address)) return false;
    const bool covers = each.family() == address.family() || (both && each.family() == AF_INET6);
    return each == address || (server::is_any(each) && covers && is_here(address));
  });
}

Upstream::Addresses share(std::vector<Address> addresses) {
  return std::make_shared<const std::vector<Address>>(std::move(addresses));
}

}  // namespace

struct Upstream::State {
  mutable std::mutex mutex;
  Addresses addresses;
  std::vector<Address> listening;
  bool looking_up = false;
  std::uint64_t lookups = 0;
  std::chrono::steady_clock::time_point last{};

  void look_up(const std::string& text);
};

Upstream::Upstream(std::string text)
    : text_(std::move(text)), is_name_(!server::is_literal(text_)), state_(std::make_shared<State>()) {
  state_->addresses = share(server::parse_addresses(text_, server::Port::must_be_given));
}

void Upstream::refuse_own(const std::vector<Address>& listening) {
  state_->listening = listening;
  for (const Address& each : *addresses()) {
    if (!listens_at(listening, each)) continue;
    throw Error(EINVAL, "--upstream " + text_ + " is where weir-proxy itself listens (" + each.text +
                            "): it would relay to itself; give the server's address and port");
  }
}

Upstream::Addresses Upstream::addresses() const {
  const std::lock_guard lock(state_->mutex);
  return state_->addresses;
}

void Upstream::prefer(const Address& address) {
  const std::lock_guard lock(state_->mutex);
  if (state_->addresses->front() == address) return;
  std::vector<Address> changed = *state_->addresses;
  const auto place = std::find(changed.begin(), changed.end(), address);
  if (place == changed.end()) return;  // it was looked up again meanwhile
  std::rotate(changed.begin(), place, place + 1);
  state_->addresses = share(std::move(changed));
}

std::uint64_t Upstream::look_up() {
  const std::lock_guard lock(state_->mutex);
  if (state_->looking_up) return state_->lookups + 1;
  if (state_->lookups > 0 && std::chrono::steady_clock::now() - state_->last < kFresh) return state_->lookups;
  try {
    std::thread([state = state_, text = text_] { state->look_up(text); }).detach();
    state_->looking_up = true;
    return state_->lookups + 1;
  } catch (const std::system_error&) {  // there are no more threads: what is known has to do
    return state_->lookups;
  }
}

std::uint64_t Upstream::lookups() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lookups;
}

void Upstream::State::look_up(const std::string& text) {
  std::vector<Address> found;
  try {
    found = server::parse_addresses(text, server::Port::must_be_given);
  } catch (const std::exception&) {  // the addresses that it had may work again
  }
  std::erase_if(found, [this](const Address& each) { return listens_at(listening, each); });
  const std::lock_guard lock(mutex);
  if (!found.empty()) addresses = share(std::move(found));
  looking_up = false;
  ++lookups;
  last = std::chrono::steady_clock::now();
}

}  // namespace weir::proxy
