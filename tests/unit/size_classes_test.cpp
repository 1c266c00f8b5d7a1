#include "core/size_classes.h"

#include <gtest/gtest.h>

namespace weir::detail {
namespace {

TEST(SizeClasses, FindsTheSmallestThatHolds) {
  const SizeClasses classes({512, 1024, 4096, 12288}, 65536);
  ASSERT_EQ(classes.count(), 4U);
  EXPECT_EQ(classes.index_for(0), 0U);
  EXPECT_EQ(classes.index_for(512), 0U);
  EXPECT_EQ(classes.index_for(513), 1U);
  EXPECT_EQ(classes.index_for(1024), 1U);
  EXPECT_EQ(classes.index_for(1025), 2U);
  EXPECT_EQ(classes.index_for(12288), 3U);
  EXPECT_EQ(classes.index_for(12289), classes.count());
  EXPECT_EQ(classes.index_for(SIZE_MAX), classes.count());
}

TEST(SizeClasses, CutsASlabIntoWholeBuffers) {
  const SizeClasses classes({64, 12288, 65536}, 65536);
  EXPECT_EQ(classes[0].per_slab, 1024U);
  EXPECT_EQ(classes[1].per_slab, 5U) << "the rest of the slab is left over";
  EXPECT_EQ(classes[2].per_slab, 1U);
}

}  // namespace
}  // namespace weir::detail
