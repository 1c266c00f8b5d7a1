#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::detail {

/// A buffer size. Sizes that are whole pages are page-aligned, the others are aligned to a cache line.
struct SizeClass {
  std::uint32_t bytes = 0;
  std::uint32_t per_slab = 0;
};

class SizeClasses {
 public:
  /// REQUIRES: sizes ascend and none is larger than a slab.
  SizeClasses(const std::vector<std::uint32_t>& sizes, std::size_t slab_bytes);

  std::size_t count() const { return classes_.size(); }
  const SizeClass& operator[](std::size_t index) const { return classes_[index]; }

  /// Index of the smallest class that holds `bytes`; count() when none does.
  std::size_t index_for(std::size_t bytes) const;

 private:
  std::vector<SizeClass> classes_;
};

}  // namespace weir::detail
