#pragma once

#include <weir/loan.h>

#include <cstddef>
#include <cstdint>

#include "memory/slab_map.h"

namespace weir::detail {

// A slice is a loan of a part of a buffer that the kernel fills piece by piece. The buffer is dropped with the last of
// its slices and the ring's hold on it. Who holds is counted in the record of the chunk at which the buffer starts.

/// The last lane of a node belongs to no pool: sizes that no class holds look there, and find nothing. Slices carry it,
/// so that their drop finds neither magazine nor depot, and comes to drop_slice().
inline constexpr std::uint32_t kNoLane = (kLanesPerNode - 1) * kMagazineBytes;
/// Two buffers of that size never start in the same chunk.
inline constexpr std::size_t kLeastSlicedBuffer = kChunkBytes;

/// Makes the slices of a pool known, for drops that have only an address; nullptr: it is going away.
/// REQUIRES: its index is below kMaxPools, and no slice is out at the end.
void publish_slices(std::uint32_t pool, SlabMap* map) noexcept;

/// The ring's own hold on a buffer, without which it could be dropped while the kernel fills it.
void hold_slices(SlabMap& map, const std::byte* buffer) noexcept;
/// A loan of `bytes` at `place`, which is in a held buffer. Any thread may drop it.
Loan make_slice(SlabMap& map, const std::byte* buffer, std::byte* place, std::uint32_t bytes) noexcept;
bool is_held(SlabMap& map, const std::byte* buffer) noexcept;
/// Ends a hold on the buffer that `place` is in, which is dropped with the last.
void drop_slice(std::byte* place) noexcept;

}  // namespace weir::detail
