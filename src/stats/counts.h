#pragma once

#include <weir/pool.h>

#include <cstdint>

#include "stats/segment.h"

// The law's counts, added up from a segment: this process's own, or a copy of another's. Everything read from it is
// taken as hostile: no index is used before it was checked.

namespace weir::detail {

/// Index of the lane of a pool's class on a node.
inline std::uint32_t lane_index_of(const PoolRecord& pool, std::uint32_t node_index, std::uint32_t class_index) {
  return node_index * kLanesPerNode + pool.first_lane + class_index;
}

/// True when the record is of a live pool and every lane index made of it is in range.
bool is_sound(const PoolRecord& pool);

/// True when the record is of a pool that has ended, whose counters it keeps, with lane indexes in range.
bool is_sound_ended(const PoolRecord& pool);

/// Of the nodes that the segment names, as many as there can be.
std::uint32_t node_count(const Segment& segment);

/// True when the lane is of one of the pool's classes on one of those nodes.
bool has_lane(const Segment& segment, const PoolRecord& pool, std::uint32_t lane_index);

Counts counts_of_lane(const Segment& segment, std::uint32_t lane_index);

/// Loans of the lane so far, claimed ones counted.
std::uint64_t lends_of_lane(const Segment& segment, std::uint32_t lane_index);

/// REQUIRES: is_sound(pool).
Counts counts_of_pool(const Segment& segment, const PoolRecord& pool);

}  // namespace weir::detail
