#pragma once

#include <weir/alerts.h>
#include <weir/options.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <string>

#include "base/no_cancel.h"

namespace weir::detail {

/// A pool's alerts on their way to its sink: of each kind the first at once, then one every ten seconds. Thread safe.
class AlertLimit {
 public:
  /// REQUIRES: the options outlive it.
  explicit AlertLimit(const Options& options);

  /// Has the sink told what `message()` gives, unless it is too soon. True when it was. REQUIRES: the caller holds no
  /// lock that the sink may need.
  template <typename Message>
  bool tell(AlertKind kind, Message message) noexcept {
    if (!is_due(kind)) return false;
    const base::NoCancel no_cancel;  // the sink waits for who reads what it writes
    try {
      send(kind, message());
    } catch (const std::exception& error) {
      say_thrown(kind, error.what());
    } catch (...) {
      say_thrown(kind, "something unknown");
    }
    return true;
  }

 private:
  struct Limit {
    std::atomic<std::int64_t> next{INT64_MIN};  ///< when another may be told
    std::atomic<std::uint64_t> suppressed{0};
  };

  bool is_due(AlertKind kind) noexcept;
  void send(AlertKind kind, const std::string& message);
  void say_thrown(AlertKind kind, const char* what) const noexcept;
  Limit& limit(AlertKind kind) { return limits_[static_cast<std::size_t>(kind)]; }

  const Options& options_;
  const AlertSink sink_;  ///< none: nobody is told
  std::array<Limit, 4> limits_;
};

}  // namespace weir::detail
