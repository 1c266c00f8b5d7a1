#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

/// How a receiver gets a connection's data. The user's code is the same for all.
enum class Strategy : std::uint8_t {
  automatic,   ///< ring where the kernel can, else poll_first
  ring,        ///< a multishot receive, for which the kernel picks buffers from a ring; Linux 6.0
  direct,      ///< a receive that waits with a buffer of its own
  poll_recv,   ///< a poll before each receive: no buffer waits
  poll_first,  ///< a poll, then receives back to back until there is no more
};

/// "auto", "ring"...; "?" of what is no strategy.
const char* name_of(Strategy strategy) noexcept;
std::optional<Strategy> strategy_named(std::string_view name) noexcept;

}  // namespace weir
