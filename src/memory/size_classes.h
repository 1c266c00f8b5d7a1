#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.h"

namespace weir::detail {

inline constexpr std::size_t kLeastSlab = 64 * base::kKiB;
inline constexpr std::size_t kMostSlab = 2 * base::kMiB;

/// Where the buffers of a class start.
enum class Alignment : std::uint8_t {
  line,  ///< at a cache line; whole pages are coloured: no two neighbours start at the same place of their page
  page,  ///< at a page: for files and O_DIRECT
};

/// A buffer size, and how a slab is cut into it.
struct SizeClass {
  std::uint32_t bytes = 0;
  Alignment alignment = Alignment::line;
  std::uint32_t stride = 0;      ///< from one buffer to the next
  std::uint32_t slab_bytes = 0;  ///< a power of two from 64 KiB to 2 MiB
  std::uint32_t per_slab = 0;
};

/// What the start of each buffer is a multiple of.
constexpr std::uint32_t alignment_of(const SizeClass& size_class) {
  return size_class.alignment == Alignment::page ? base::kSmallPage : 64;
}

/// The class for buffers of `bytes`: the smallest slab of at most `most_slab` that wastes no more than a thirty-second.
/// Colour is given up where no such slab would do. Usable at compile time.
/// REQUIRES: bytes is a multiple of 64 (of 4096 for pages) and at most most_slab, a power of two of at least
/// kLeastSlab.
constexpr SizeClass make_size_class(std::uint32_t bytes, Alignment alignment, std::size_t most_slab) {
  constexpr std::uint32_t kLine = 64;
  constexpr std::uint32_t kPage = 4096;
  const bool can_colour = alignment == Alignment::line && bytes % kPage == 0;
  SizeClass best{};
  for (std::uint32_t stride = can_colour ? bytes + kLine : bytes;; stride = bytes) {
    for (std::size_t slab = kLeastSlab; slab <= most_slab; slab *= 2) {
      const std::size_t count = slab / stride;
      best = {bytes, alignment, stride, static_cast<std::uint32_t>(slab), static_cast<std::uint32_t>(count)};
      if (count > 0 && slab - count * bytes <= slab / 32) return best;
    }
    if (stride == bytes) return best;
  }
}

/// The classes of a pool: those aligned to lines first, then those aligned to pages, each ascending.
class SizeClasses {
 public:
  /// REQUIRES: sizes ascend, and make_size_class() takes each of them.
  SizeClasses(const std::vector<std::uint32_t>& sizes, const std::vector<std::uint32_t>& page_sizes,
              std::size_t most_slab);

  std::size_t count() const { return classes_.size(); }
  std::size_t largest_slab() const;
  const SizeClass& operator[](std::size_t index) const { return classes_[index]; }

  /// Index of the smallest class of the alignment that holds `bytes`; count() when none does.
  std::size_t index_for(std::size_t bytes, Alignment alignment = Alignment::line) const;

 private:
  std::vector<SizeClass> classes_;
  std::size_t line_count_;
};

}  // namespace weir::detail
