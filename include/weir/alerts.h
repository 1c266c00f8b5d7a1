#pragma once

#include <weir/detail/export.h>

#include <cstdint>
#include <functional>
#include <string_view>

namespace weir {

/// What somebody on call should know of.
enum class AlertKind : std::uint8_t {
  degraded,       ///< memory is less than was asked for, or a receiver's strategy is
  exhausted,      ///< a size class had no buffer for a lend or a ring
  stuck_cancel,   ///< a request that was cancelled has not ended for ten seconds
  growth_failed,  ///< the pool's helper could not map more memory: told once for each cause, until it could
};

/// "degraded", "exhausted"...
WEIR_API const char* name_of(AlertKind kind) noexcept;

struct Alert {
  AlertKind kind;
  std::string_view pool;         ///< its name
  std::string_view message;      ///< what, why, and the fix
  std::uint64_t suppressed = 0;  ///< of this kind and pool, not told since the last that was
};

/// Told of each kind at once, and then at most every ten seconds a pool. By the pool's helper thread where it has one
/// (Options::grow_bytes, decay_seconds or a callback) and that is what met it; else by the thread that did, on its slow
/// path and under no lock of the pool: so it should be quick, and may be called by several threads at once. It may lend
/// and drop, but must not use the receiver nor destroy the pool. What it throws is caught, and said on standard error.
using AlertSink = std::function<void(const Alert&)>;

/// The sinks that Options::alerts names: one line of key="value" on standard error; or an entry of journald with the
/// fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, WEIR_KIND, WEIR_POOL and WEIR_SUPPRESSED, and the line where there is
/// no journald.
WEIR_API void alert_to_stderr(const Alert& alert);
WEIR_API void alert_to_journal(const Alert& alert);

}  // namespace weir
