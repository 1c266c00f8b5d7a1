#include "stats/counts.h"

#include <algorithm>

namespace weir {

Counts& Counts::operator+=(const Counts& other) {
  capacity += other.capacity;
  free += other.free;
  cached += other.cached;
  user += other.user;
  kernel_ring += other.kernel_ring;
  kernel_request += other.kernel_request;
  return *this;
}

namespace detail {
namespace {

std::uint64_t load(const Count& count) { return count.load(std::memory_order_relaxed); }

/// Calls `visit(magazine)` for each thread's magazine of the lane.
template <typename Visit>
void for_magazines(const Segment& segment, std::uint32_t lane_index, Visit visit) {
  for (std::uint32_t i = 0; i < kMaxThreads; ++i) {
    const ThreadRecord& thread = segment.threads[i];
    if (thread.id.load(std::memory_order_acquire) == 0) continue;
    if ((load(thread.lanes[lane_index / 64]) >> lane_index % 64 & 1) != 0) visit(segment.magazines[i][lane_index]);
  }
}

bool has_lanes(const PoolRecord& pool) {
  return pool.class_count > 0 && pool.class_count <= kLanesPerNode &&
         pool.first_lane <= kLanesPerNode - pool.class_count;
}

}  // namespace

bool is_sound(const PoolRecord& pool) { return pool.live.load(std::memory_order_acquire) != 0 && has_lanes(pool); }

bool is_sound_ended(const PoolRecord& pool) {
  return pool.live.load(std::memory_order_acquire) == 0 && has_lanes(pool);
}

std::uint32_t node_count(const Segment& segment) { return std::min(segment.header.node_count, kMaxNodes); }

bool has_lane(const Segment& segment, const PoolRecord& pool, std::uint32_t lane_index) {
  const std::uint32_t within_node = lane_index % kLanesPerNode;
  return lane_index / kLanesPerNode < node_count(segment) && within_node >= pool.first_lane &&
         within_node - pool.first_lane < pool.class_count;
}

Counts counts_of_lane(const Segment& segment, std::uint32_t lane_index) {
  const LaneRecord& lane = segment.lanes[lane_index];
  Counts counts;
  counts.capacity = load(lane.capacity);
  counts.free = load(lane.free);
  std::uint64_t lends = load(lane.lends);
  std::uint64_t drops = load(lane.drops);
  counts.kernel_request = load(lane.requested);
  for_magazines(segment, lane_index, [&](const Magazine& magazine) {
    const std::uint64_t state = load(magazine.state);
    counts.cached += Magazine::count_of(state);
    lends += Magazine::lends_of(state);
    drops += Magazine::lends_of(state) + Magazine::count_of(state) - load(magazine.from_depot);
    counts.kernel_request += load(magazine.requested);
  });
  for (const RingRecord& ring : segment.rings) {
    if (ring.live.load(std::memory_order_acquire) == 0 || ring.lane != lane_index) continue;
    counts.kernel_ring += load(ring.filled);
    lends += load(ring.claimed);
    drops += load(ring.provided);
  }
  counts.user = lends - drops - counts.kernel_request;
  return counts;
}

std::uint64_t lends_of_lane(const Segment& segment, std::uint32_t lane_index) {
  std::uint64_t lends = load(segment.lanes[lane_index].lends);
  for_magazines(segment, lane_index,
                [&](const Magazine& magazine) { lends += Magazine::lends_of(load(magazine.state)); });
  for (const RingRecord& ring : segment.rings) {
    if (ring.live.load(std::memory_order_acquire) != 0 && ring.lane == lane_index) lends += load(ring.claimed);
  }
  return lends;
}

Counts counts_of_pool(const Segment& segment, const PoolRecord& pool) {
  Counts counts;
  for (std::uint32_t node = 0; node < node_count(segment); ++node) {
    for (std::uint32_t i = 0; i < pool.class_count; ++i) {
      counts += counts_of_lane(segment, lane_index_of(pool, node, i));
    }
  }
  return counts;
}

}  // namespace detail
}  // namespace weir
