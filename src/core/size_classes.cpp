#include "core/size_classes.h"

#include <algorithm>

namespace weir::detail {

SizeClasses::SizeClasses(const std::vector<std::uint32_t>& sizes, std::size_t slab_bytes) {
  for (const std::uint32_t bytes : sizes) {
    classes_.push_back({.bytes = bytes, .per_slab = static_cast<std::uint32_t>(slab_bytes / bytes)});
  }
}

std::size_t SizeClasses::index_for(std::size_t bytes) const {
  const auto found = std::partition_point(classes_.begin(), classes_.end(),
                                          [&](const SizeClass& size_class) { return size_class.bytes < bytes; });
  return static_cast<std::size_t>(found - classes_.begin());
}

}  // namespace weir::detail
