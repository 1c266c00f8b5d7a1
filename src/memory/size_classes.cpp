#include "memory/size_classes.h"

#include <algorithm>

namespace weir::detail {
namespace {

// The smallest and the largest of what a slab can be cut into.
static_assert(make_size_class(64, Alignment::line, kMostSlab).per_slab == 1024);
static_assert(make_size_class(65536, Alignment::line, kMostSlab).stride == 65600);
static_assert(make_size_class(65536, Alignment::line, kMostSlab).per_slab == 31);
static_assert(make_size_class(65536, Alignment::line, kLeastSlab).stride == 65536);
static_assert(make_size_class(4096, Alignment::page, kMostSlab).stride == 4096);

}  // namespace

SizeClasses::SizeClasses(const std::vector<std::uint32_t>& sizes, const std::vector<std::uint32_t>& page_sizes,
                         std::size_t most_slab)
    : line_count_(sizes.size()) {
  for (const std::uint32_t bytes : sizes) classes_.push_back(make_size_class(bytes, Alignment::line, most_slab));
  for (const std::uint32_t bytes : page_sizes) classes_.push_back(make_size_class(bytes, Alignment::page, most_slab));
}

std::size_t SizeClasses::largest_slab() const {
  return std::max_element(classes_.begin(), classes_.end(),
                          [](auto& a, auto& b) { return a.slab_bytes < b.slab_bytes; })
      ->slab_bytes;
}

std::size_t SizeClasses::index_for(std::size_t bytes, Alignment alignment) const {
  const bool paged = alignment == Alignment::page;
  const auto begin = classes_.begin() + static_cast<std::ptrdiff_t>(paged ? line_count_ : 0);
  const auto end = paged ? classes_.end() : classes_.begin() + static_cast<std::ptrdiff_t>(line_count_);
  const auto found = std::partition_point(begin, end, [&](const SizeClass& each) { return each.bytes < bytes; });
  return found == end ? count() : static_cast<std::size_t>(found - classes_.begin());
}

}  // namespace weir::detail
