#include "memory/size_classes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

namespace weir::detail {
namespace {

constexpr std::uint32_t kLine = 64;
constexpr std::uint32_t kPage = 4096;

constexpr bool wastes_little(std::size_t slab, std::uint32_t stride, std::uint32_t bytes) {
  return slab / stride > 0 && slab - slab / stride * bytes <= slab / 32;
}

/// The smallest slab that wastes little with this stride; 0 when none does.
constexpr std::size_t thrifty_slab(std::uint32_t stride, std::uint32_t bytes, std::size_t most_slab) {
  std::size_t slab = kLeastSlab;
  while (slab <= most_slab && !wastes_little(slab, stride, bytes)) slab *= 2;
  return slab <= most_slab ? slab : 0;
}

/// Every buffer lies inside the slab, apart from the others and aligned as its class promises.
constexpr bool is_sound(const SizeClass& c, std::uint32_t bytes, Alignment alignment, std::size_t most_slab) {
  const std::uint32_t step = alignment == Alignment::page ? kPage : kLine;
  return c.bytes == bytes && c.alignment == alignment && c.stride >= bytes && c.stride % step == 0 &&
         std::has_single_bit(c.slab_bytes) && c.slab_bytes >= kLeastSlab && c.slab_bytes <= most_slab &&
         c.per_slab > 0 && c.per_slab == c.slab_bytes / c.stride &&
         std::size_t{c.per_slab - 1} * c.stride + bytes <= c.slab_bytes;
}

/// Little waste, by the smallest slab, and coloured, wherever there is such a slab at all.
constexpr bool is_thrifty(const SizeClass& c, std::size_t most_slab) {
  const bool can_colour = c.alignment == Alignment::line && c.bytes % kPage == 0;
  const std::size_t coloured = can_colour ? thrifty_slab(c.bytes + kLine, c.bytes, most_slab) : 0;
  if (coloured != 0) return c.stride == c.bytes + kLine && c.slab_bytes == coloured;
  const std::size_t plain = thrifty_slab(c.bytes, c.bytes, most_slab);
  return c.stride == c.bytes && (plain == 0 || c.slab_bytes == plain);
}

constexpr bool holds(std::uint32_t bytes, Alignment alignment, std::size_t most_slab) {
  if (bytes > most_slab) return true;
  const SizeClass c = make_size_class(bytes, alignment, most_slab);
  return is_sound(c, bytes, alignment, most_slab) && is_thrifty(c, most_slab);
}

constexpr bool all_hold(std::uint32_t first, std::uint32_t last, std::uint32_t step, Alignment alignment) {
  for (std::uint32_t bytes = first; bytes <= last; bytes += step) {
    for (std::size_t most = kLeastSlab; most <= kMostSlab; most *= 2) {
      if (!holds(bytes, alignment, most)) return false;
    }
  }
  return true;
}

// At compile time: all small classes, the usual large ones (eight a doubling), and all that are for pages.
static_assert(all_hold(64, 16384, 64, Alignment::line));
static_assert(all_hold(16384, 32768, 2048, Alignment::line));
static_assert(all_hold(32768, 65536, 4096, Alignment::line));
static_assert(all_hold(65536, 131072, 8192, Alignment::line));
static_assert(all_hold(131072, 262144, 16384, Alignment::line));
static_assert(all_hold(262144, 524288, 32768, Alignment::line));
static_assert(all_hold(524288, 1048576, 65536, Alignment::line));
static_assert(all_hold(1048576, 2097152, 131072, Alignment::line));
static_assert(all_hold(kPage, 2097152, kPage, Alignment::page));

// Those that networks and files use, cut from the largest slabs.
constexpr double waste(std::uint32_t bytes, Alignment alignment = Alignment::line) {
  const SizeClass c = make_size_class(bytes, alignment, kMostSlab);
  return 1.0 - static_cast<double>(c.per_slab) * bytes / c.slab_bytes;
}
static_assert(waste(512) == 0 && waste(1024) == 0 && waste(2048) == 0);
static_assert(waste(1536) <= 1.0 / 32 && waste(9216) <= 1.0 / 32 && waste(4096) <= 1.0 / 32 &&
              waste(16384) <= 1.0 / 32 && waste(65536) <= 1.0 / 32);
static_assert(waste(4096, Alignment::page) == 0 && waste(65536, Alignment::page) == 0 &&
              waste(2097152, Alignment::page) == 0);

TEST(MakeSizeClass, HoldsItsPromisesForEverySize) {
  for (std::uint32_t bytes = kLine; bytes <= kMostSlab; bytes += kLine)
    ASSERT_TRUE(all_hold(bytes, bytes, kLine, Alignment::line)) << bytes;
}

/// By laying all buffers of a slab out, and asking of each two neighbours.
TEST(MakeSizeClass, NeighboursOfAColouredClassStartAtDifferentPlacesOfTheirPages) {
  std::size_t coloured = 0;
  for (std::uint32_t bytes = kPage; bytes <= kMostSlab; bytes += kPage) {
    for (std::size_t most = std::max<std::size_t>(kLeastSlab, std::bit_ceil(bytes)); most <= kMostSlab; most *= 2) {
      const SizeClass c = make_size_class(bytes, Alignment::line, most);
      if (c.stride == c.bytes) continue;
      ++coloured;
      for (std::uint32_t i = 1; i < c.per_slab; ++i) {
        const std::size_t here = std::size_t{i} * c.stride;
        ASSERT_EQ(here % kLine, 0U) << bytes;
        ASSERT_NE(here % kPage, (here - c.stride) % kPage) << bytes << " in slabs of " << c.slab_bytes;
        ASSERT_GE(here, (here - c.stride) + bytes);
      }
      ASSERT_LE(std::size_t{c.per_slab} * c.stride, c.slab_bytes);
    }
  }
  EXPECT_GT(coloured, 50U) << "next to nothing is coloured";
}

TEST(MakeSizeClass, ManyBuffersOfACommonClassAreSpreadOverTheWholePage) {
  for (const std::uint32_t bytes : {4096U, 8192U, 16384U}) {
    const SizeClass c = make_size_class(bytes, Alignment::line, kMostSlab);
    std::vector<std::uint32_t> places;
    for (std::uint32_t i = 0; i < c.per_slab; ++i) places.push_back(i * c.stride % kPage);
    std::sort(places.begin(), places.end());
    const auto distinct = static_cast<std::size_t>(std::unique(places.begin(), places.end()) - places.begin());
    EXPECT_EQ(distinct, std::min<std::size_t>(c.per_slab, kPage / kLine)) << bytes;
  }
}

TEST(SizeClasses, FindsTheSmallestThatHolds) {
  const SizeClasses classes({512, 1024, 4096, 12288}, {}, kLeastSlab);
  ASSERT_EQ(classes.count(), 4U);
  EXPECT_EQ(classes.index_for(0), 0U);
  EXPECT_EQ(classes.index_for(512), 0U);
  EXPECT_EQ(classes.index_for(513), 1U);
  EXPECT_EQ(classes.index_for(1024), 1U);
  EXPECT_EQ(classes.index_for(1025), 2U);
  EXPECT_EQ(classes.index_for(12288), 3U);
  EXPECT_EQ(classes.index_for(12289), classes.count());
  EXPECT_EQ(classes.index_for(SIZE_MAX), classes.count());
  EXPECT_EQ(classes.index_for(1, Alignment::page), classes.count()) << "there is none for pages";
}

TEST(SizeClasses, ThoseForPagesAreApart) {
  const SizeClasses classes({512, 4096, 65536}, {4096, 16384}, kMostSlab);
  ASSERT_EQ(classes.count(), 5U);
  EXPECT_EQ(classes.index_for(4096), 1U);
  EXPECT_EQ(classes.index_for(4096, Alignment::page), 3U);
  EXPECT_EQ(classes.index_for(0, Alignment::page), 3U);
  EXPECT_EQ(classes.index_for(4097, Alignment::page), 4U);
  EXPECT_EQ(classes.index_for(16385, Alignment::page), classes.count());
  EXPECT_EQ(classes.index_for(65537), classes.count()) << "and never stand in for the others";
  for (std::size_t i = 0; i < classes.count(); ++i)
    EXPECT_EQ(classes[i].alignment, i < 3 ? Alignment::line : Alignment::page);
}

TEST(SizeClasses, CutsASlabIntoWholeBuffers) {
  const SizeClasses classes({64, 12288, 65536}, {}, kLeastSlab);
  EXPECT_EQ(classes[0].per_slab, 1024U);
  EXPECT_EQ(classes[1].per_slab, 5U) << "the rest of the slab is left over";
  EXPECT_EQ(classes[2].per_slab, 1U);
}

}  // namespace
}  // namespace weir::detail
