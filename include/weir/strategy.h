#pragma once

#include <weir/detail/export.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace weir {

/// How a receiver gets a connection's data. The user's code is the same for all. Those that begin with `ring` let the
/// kernel pick the buffer when data comes, by a receive that stays armed; they need Linux 6.0. The others but `direct`
/// hold no buffer while a connection waits for its first data.
enum class Strategy : std::uint8_t {
  automatic,         ///< ring_adaptive where the kernel can, else poll_adaptive; epoll where there is no io_uring
  ring,              ///< one buffer ring for all connections, kept full
  direct,            ///< a receive that waits with a buffer of its own
  poll_recv,         ///< a poll before each receive: no buffer ever waits
  poll_first,        ///< a poll, then receives that wait with a buffer, until the connection falls idle
  poll_adaptive,     ///< as poll_first while data comes often, else as poll_recv
  ring_lazy,         ///< a ring that is given a buffer only when data found none
  ring_sized,        ///< a ring for each size of buffer; the size is predicted for each connection
  ring_sized_lazy,   ///< rings of all sizes, each given a buffer only when data found none
  ring_incremental,  ///< a ring of large buffers that are filled piece by piece; Linux 6.12, stream sockets
  ring_bundle,       ///< as ring, with several buffers a completion; Linux 6.10 but for 6.13 to 6.15
  epoll,             ///< no io_uring: readiness, then a receive
  ring_adaptive,     ///< as ring_sized while small data comes often, else as poll_recv
};

/// All of them.
WEIR_API std::span<const Strategy> strategies() noexcept;

/// "auto", "ring"...; "?" of what is no strategy.
WEIR_API const char* name_of(Strategy strategy) noexcept;
WEIR_API std::optional<Strategy> strategy_named(std::string_view name) noexcept;

}  // namespace weir
