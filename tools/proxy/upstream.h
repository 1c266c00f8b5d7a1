#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/address.h"

namespace weir::proxy {

using server::Address;

/// Where to relay to: the addresses of a name, which is looked up again when none of them can be connected to. It may
/// be used by many threads.
class Upstream {
 public:
  using Addresses = std::shared_ptr<const std::vector<Address>>;

  /// Throws Error.
  explicit Upstream(std::string text);

  /// Throws Error when an address is one that this program listens at: it would relay to itself, until there is no
  /// file left. Addresses that are found later and are so are left out. REQUIRES: called before it is looked up again.
  void refuse_own(const std::vector<Address>& listening);

  /// Those to try, in this order; never empty.
  Addresses addresses() const;
  /// The address was the first to answer: it shall be tried first.
  void prefer(const Address& address);

  bool is_name() const { return is_name_; }
  /// Has the name looked up by a thread of its own, unless it was within the last second. Returns the number that
  /// lookups() will have then. REQUIRES: is_name().
  std::uint64_t look_up();
  std::uint64_t lookups() const;

 private:
  struct State;

  const std::string text_;
  const bool is_name_;
  const std::shared_ptr<State> state_;  ///< a lookup that takes long outlives all else
};

}  // namespace weir::proxy
