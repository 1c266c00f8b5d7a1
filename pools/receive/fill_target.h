#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "os/clock.h"

namespace weir::detail {

/// How many buffers a ring is to hold ready: at least twice what was used between two turns, of late. It grows at once,
/// for a ring that runs dry costs each receive a second one; and it halves a few times a second while less than a
/// quarter is used.
class FillTarget {
 public:
  explicit FillTarget(std::uint32_t most) : most_(most), wanted_(std::min(most, kLeast)) {}

  std::uint32_t wanted() const noexcept { return wanted_; }

  /// So many were used since the last time.
  void note_used(std::uint32_t used, os::Time now) noexcept {
    if (used > wanted_ / 2) wanted_ = std::min(most_, std::bit_ceil(2 * used));
    peak_ = std::max(peak_, used);
    if (now < looks_again_) return;
    if (peak_ <= wanted_ / 4) wanted_ = std::max(wanted_ / 2, std::min(most_, kLeast));
    peak_ = 0;
    looks_again_ = now + kBetweenLooks;
  }

 private:
  static constexpr std::uint32_t kLeast = 8;
  static constexpr std::chrono::milliseconds kBetweenLooks{100};

  std::uint32_t most_;
  std::uint32_t wanted_;
  std::uint32_t peak_ = 0;  ///< used at most, since it was looked at whether that is little
  os::Time looks_again_{};
};

}  // namespace weir::detail
