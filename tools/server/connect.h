#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>

#include "listener.h"

namespace weir::server {

/// How long an address may leave us without an answer before the next one is tried beside it (RFC 8305).
constexpr std::chrono::milliseconds kAttemptDelay{250};

/// Why a connect to the address has failed, and what to do about it; `result` is a negative errno.
std::string connect_failure(const Address& address, int result);

/// The address that a connection can be made to first, of those of a name, and that connection. It is asked now and
/// then whether to stop: then there is no socket. Throws Error when none of them can be connected to.
struct Reached {
  Address address;
  Fd socket;
};
Reached connect_first(std::span<const Address> addresses, const std::function<bool()>& stops);

}  // namespace weir::server
