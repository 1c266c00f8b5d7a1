#pragma once

#include <cstdlib>
#include <memory>

#include "memory/slab_map.h"

namespace weir::testing {

/// Memory in place of a pool's region, aligned as that is, and its map.
class Chunks {
 public:
  explicit Chunks(std::uint32_t count)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(detail::kMostSlab, bytes_of(count))), &std::free),
        map(memory_.get(), bytes_of(count)) {
    if (map.populate(memory_.get(), bytes_of(count)) != 0) std::abort();
  }

  std::byte* base() const { return memory_.get(); }
  std::size_t bytes() const { return map.chunks() * detail::kChunkBytes; }

 private:
  static std::size_t bytes_of(std::uint32_t count) {
    return base::round_up(count * detail::kChunkBytes, detail::kMostSlab);
  }

  std::unique_ptr<std::byte, decltype(&std::free)> memory_;

 public:
  detail::SlabMap map;
};

}  // namespace weir::testing
