#include "memory/slab_source.h"

#include <algorithm>
#include <utility>

namespace weir::detail {

SlabSource::SlabSource(BuddyBlocks& blocks) : SlabSource({&blocks}, SIZE_MAX) {}

SlabSource::SlabSource(std::vector<BuddyBlocks*> in_turn, std::size_t most_bytes)
    : in_turn_(std::move(in_turn)), left_(most_bytes) {}

std::uint32_t SlabSource::take(unsigned order) {
  const std::size_t bytes = kChunkBytes << order;
  if (bytes > left_) return kNoChunk;
  for (std::size_t tries = 0; tries < in_turn_.size(); ++tries) {
    const std::uint32_t chunk = in_turn_[next_]->take(order);
    next_ = (next_ + 1) % in_turn_.size();
    if (chunk == kNoChunk) continue;
    left_ -= bytes;
    return chunk;
  }
  return kNoChunk;
}

void SlabSource::give(std::uint32_t chunk, unsigned order) {
  const auto owner =
      std::find_if(in_turn_.begin(), in_turn_.end(), [&](const BuddyBlocks* blocks) { return blocks->has(chunk); });
  (*owner)->give(chunk, order);
  left_ += kChunkBytes << order;
}

void SlabSource::set_has_waiters(Depot& depot, bool has_waiters) {
  for (BuddyBlocks* blocks : in_turn_) blocks->set_has_waiters(depot, has_waiters);
}

bool SlabSource::any_has_waiters() const {
  return std::any_of(in_turn_.begin(), in_turn_.end(),
                     [](const BuddyBlocks* blocks) { return blocks->any_has_waiters(); });
}

std::size_t SlabSource::with_waiters(std::span<Depot*> out) const {
  std::size_t count = 0;
  for (const BuddyBlocks* blocks : in_turn_) count += blocks->with_waiters(out.subspan(count));
  return count;
}

}  // namespace weir::detail
