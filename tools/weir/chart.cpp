#include "chart.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weir::tool {
namespace {

/// Where each holder of a column ends, in eighths of a character above the bottom.
using Edges = std::array<int, kHoldingNames.size()>;

Edges edges_of(const Holdings& holdings, double eighths_a_byte) {
  Edges edges{};
  double bytes = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    bytes += holdings[i];
    edges[i] = static_cast<int>(std::lround(bytes * eighths_a_byte));
  }
  return edges;
}

Holding holder_at(const Edges& edges, int height) {
  const auto above = std::upper_bound(edges.begin(), edges.end(), height);
  return static_cast<Holding>(above - edges.begin());
}

ChartCell cell_at(const Edges& edges, int bottom) {
  ChartCell cell;
  cell.below = holder_at(edges, bottom);
  cell.above = cell.below;
  if (cell.below == Holding::nobody) return cell;
  cell.eighths = std::min(8, edges[static_cast<std::size_t>(cell.below)] - bottom);
  if (cell.eighths < 8) cell.above = holder_at(edges, bottom + cell.eighths);
  return cell;
}

}  // namespace

double sum_of(const Holdings& holdings) { return std::accumulate(holdings.begin(), holdings.end(), 0.0); }

Holdings holdings_of(const PoolView& pool) {
  Holdings holdings{};
  for (const NodeRow& node : pool.nodes) {
    for (const ClassRow& row : node.classes) {
      const Counts& counts = row.tally.counts;
      const std::array held{counts.kernel_request, counts.kernel_ring, counts.user, counts.cached, counts.free};
      for (std::size_t i = 0; i < held.size(); ++i) {
        holdings[i] += static_cast<double>(held[i]) * static_cast<double>(row.bytes);
      }
    }
  }
  return holdings;
}

std::vector<std::vector<ChartCell>> draw_chart(const std::deque<Holdings>& samples, std::size_t width,
                                               std::size_t height) {
  std::vector<std::vector<ChartCell>> rows(height, std::vector<ChartCell>(width));
  const std::size_t shown = std::min(width, samples.size());
  const auto first = samples.end() - static_cast<std::ptrdiff_t>(shown);
  double highest = 1;
  std::for_each(first, samples.end(), [&](const Holdings& each) { highest = std::max(highest, sum_of(each)); });
  for (std::size_t i = 0; i < shown; ++i) {
    const Edges edges = edges_of(first[static_cast<std::ptrdiff_t>(i)], 8 * static_cast<double>(height) / highest);
    for (std::size_t row = 0; row < height; ++row) {
      rows[height - 1 - row][width - shown + i] = cell_at(edges, static_cast<int>(8 * row));
    }
  }
  return rows;
}

}  // namespace weir::tool
