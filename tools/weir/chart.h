#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "snapshot.h"

namespace weir::tool {

/// Who holds buffers, from the bottom of a chart to its top.
enum class Holding : std::uint8_t { request, ring, user, cached, free, nobody };

inline constexpr std::array kHoldingNames{"request", "ring", "user", "cached", "free"};

/// Bytes of buffers by Holding.
using Holdings = std::array<double, kHoldingNames.size()>;

Holdings holdings_of(const PoolView& pool);
double sum_of(const Holdings& holdings);

/// A character of a chart: `eighths` of it, from below, are of one holder, the rest of the next.
struct ChartCell {
  Holding below = Holding::nobody;
  Holding above = Holding::nobody;
  int eighths = 8;
};

/// A chart's rows, the highest first: a column for each of the last samples, the newest at the right edge; the highest
/// column reaches the top.
std::vector<std::vector<ChartCell>> draw_chart(const std::deque<Holdings>& samples, std::size_t width,
                                               std::size_t height);

}  // namespace weir::tool
