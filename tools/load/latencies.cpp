#include "latencies.h"

#include <algorithm>
#include <cmath>

namespace weir::load {

void Latencies::add(Duration duration) noexcept {
  ++bins_[bin_of(static_cast<std::uint64_t>(std::max<Duration::rep>(duration.count(), 0)))];
  ++count_;
  longest_ = std::max(longest_, duration);
}

Latencies::Duration Latencies::at(double quantile) const noexcept {
  auto left = static_cast<std::int64_t>(std::ceil(quantile * static_cast<double>(count_)));
  for (std::size_t bin = 0; bin < bins_.size() && count_ > 0; ++bin) {
    left -= static_cast<std::int64_t>(bins_[bin]);
    if (left <= 0) return std::min(Duration(end_of(bin)), longest_);
  }
  return {};
}

/// The first kSteps bins are a nanosecond wide each, and each further kSteps bins twice as wide as those before.
std::size_t Latencies::bin_of(std::uint64_t nanoseconds) noexcept {
  const unsigned width = static_cast<unsigned>(std::bit_width(nanoseconds));
  if (width <= kStepBits) return nanoseconds;
  const unsigned shift = width - kStepBits - 1;
  return (shift + 1) * kSteps + ((nanoseconds >> shift) - kSteps);
}

/// The last nanosecond that belongs to the bin.
std::uint64_t Latencies::end_of(std::size_t bin) noexcept {
  if (bin < kSteps) return bin;
  const std::size_t shift = bin / kSteps - 1;
  return ((kSteps + bin % kSteps + 1) << shift) - 1;
}

}  // namespace weir::load
