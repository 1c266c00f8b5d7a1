#include "memory/spread.h"

#include <algorithm>
#include <numeric>

#include "base/units.h"
#include "memory/slab_map.h"

namespace weir::detail {
namespace {

/// A part of `left` for one of `nodes` nodes; the last one rounds up, so that nothing is left.
std::size_t part_of(std::size_t left, std::size_t nodes) {
  const std::size_t even = (left + nodes - 1) / nodes;
  if (even < base::kHugePage) return base::round_up(even, kChunkBytes);
  if (nodes == 1) return base::round_up(even, base::kHugePage);
  return (even + base::kHugePage / 2) / base::kHugePage * base::kHugePage;
}

}  // namespace

std::vector<std::size_t> spread(std::size_t bytes, const std::vector<std::size_t>& rooms, std::size_t total,
                                std::size_t least) {
  if (bytes > total) return {};
  std::vector<std::size_t> order(rooms.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rooms[a] < rooms[b]; });
  std::vector<std::size_t> shares(rooms.size());
  std::size_t left = bytes;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t share = std::min({std::max(part_of(left, order.size() - i), least), rooms[order[i]], total});
    shares[order[i]] = share;
    total -= share;
    left -= std::min(left, share);
  }
  // What rounding left to a node without the room for it.
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    const std::size_t more = std::min({base::round_up(left, kChunkBytes), rooms[i] - shares[i], total});
    shares[i] += more;
    total -= more;
    left -= std::min(left, more);
  }
  return left == 0 ? shares : std::vector<std::size_t>{};
}

}  // namespace weir::detail
