#include "memory/slab_source.h"

#include <algorithm>
#include <utility>

namespace weir::detail {

SlabSource::SlabSource(NodeStock& stock) : SlabSource({&stock}, SIZE_MAX) {}

SlabSource::SlabSource(std::vector<NodeStock*> in_turn, std::size_t most_bytes)
    : in_turn_(std::move(in_turn)), left_(most_bytes) {}

std::uint32_t SlabSource::take(unsigned order) {
  const std::size_t bytes = kGranule << order;
  if (bytes > left_) return kNoGranule;
  for (std::size_t tries = 0; tries < in_turn_.size(); ++tries) {
    const std::uint32_t granule = in_turn_[next_]->take(order);
    next_ = (next_ + 1) % in_turn_.size();
    if (granule == kNoGranule) continue;
    left_ -= bytes;
    return granule;
  }
  return kNoGranule;
}

void SlabSource::give(std::uint32_t granule, unsigned order) {
  const auto owner =
      std::find_if(in_turn_.begin(), in_turn_.end(), [&](const NodeStock* stock) { return stock->has(granule); });
  (*owner)->give(granule, order);
  left_ += kGranule << order;
}

void SlabSource::set_hungry(Depot& depot, bool hungry) {
  for (NodeStock* stock : in_turn_) stock->set_hungry(depot, hungry);
}

bool SlabSource::anybody_hungry() const {
  return std::any_of(in_turn_.begin(), in_turn_.end(), [](const NodeStock* stock) { return stock->anybody_hungry(); });
}

std::size_t SlabSource::hungry(std::span<Depot*> out) const {
  std::size_t count = 0;
  for (const NodeStock* stock : in_turn_) count += stock->hungry(out.subspan(count));
  return count;
}

}  // namespace weir::detail
