#include <gtest/gtest.h>
#include <weir/memory_resource.h>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::one_class;
using testing::small_options;

TEST(PoolResource, ContainersLiveInThePool) {
  Pool pool(small_options());
  PoolResource resource(pool);
  {
    std::pmr::vector<std::uint64_t> numbers(&resource);
    std::pmr::unordered_map<int, std::pmr::string> names(&resource);
    for (int i = 0; i < 1000; ++i) {
      numbers.push_back(static_cast<std::uint64_t>(i) * i);
      names.emplace(i, std::string(100, static_cast<char>('a' + i % 26)));
    }
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(numbers[static_cast<std::size_t>(i)], static_cast<std::uint64_t>(i) * i);
      EXPECT_EQ(names.at(i), std::string(100, static_cast<char>('a' + i % 26)).c_str());
    }
    EXPECT_GT(pool.counts().user, 2000U) << "a node and a text for each name, and the arrays";
  }
  expect_law(pool, 0);
}

TEST(PoolResource, GivesMemoryOfAnyAlignmentUpToAPage) {
  Pool pool(small_options());
  PoolResource resource(pool);
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    std::vector<void*> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(resource.allocate(100, alignment));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all.back()) % alignment, 0U) << alignment;
    }
    EXPECT_EQ(pool.counts().user, all.size());
    for (void* memory : all) resource.deallocate(memory, 100, alignment);
  }
  EXPECT_THROW(static_cast<void>(resource.allocate(100, 8192)), std::bad_alloc);
  expect_law(pool, 0);
}

TEST(PoolResource, HasNothingLargerThanTheLargestClass) {
  Options options = small_options();
  options.classes = {512, 8192};
  options.page_classes = {4096, 16384};
  options.receive_bytes = 8192;
  Pool pool(options);
  PoolResource resource(pool);
  resource.deallocate(resource.allocate(8192), 8192);
  EXPECT_THROW(static_cast<void>(resource.allocate(8193)), std::bad_alloc);
  resource.deallocate(resource.allocate(16384, 4096), 16384, 4096);
  EXPECT_THROW(static_cast<void>(resource.allocate(16385, 4096)), std::bad_alloc);
  std::pmr::vector<std::byte> bytes(8192, &resource);
  bytes.front() = std::byte{42};
  EXPECT_THROW(bytes.resize(8193), std::bad_alloc);
  EXPECT_EQ(bytes.size(), 8192U);
  EXPECT_EQ(bytes.front(), std::byte{42}) << "what does not fit leaves the container as it was";
}

TEST(PoolResource, ASpentBudgetIsBadAlloc) {
  Pool pool(one_class(1u << 20, 4096));
  PoolResource resource(pool);
  std::vector<void*> all;
  EXPECT_THROW(for (;;) all.push_back(resource.allocate(4096)), std::bad_alloc);
  EXPECT_GT(all.size(), 100U);
  expect_law(pool, all.size());
  resource.deallocate(all.back(), 4096);
  all.back() = resource.allocate(1);
  for (void* memory : all) resource.deallocate(memory, 4096);
  expect_law(pool, 0);
}

TEST(PoolResource, IsEqualToThoseOfTheSamePool) {
  Pool pool(small_options());
  Pool other(small_options());
  PoolResource resource(pool);
  PoolResource same(pool);
  PoolResource another(other);
  EXPECT_EQ(resource, same);
  EXPECT_NE(resource, another);
  EXPECT_FALSE(resource.is_equal(*std::pmr::new_delete_resource()));
  same.deallocate(resource.allocate(100), 100);
  expect_law(pool, 0);

  std::pmr::vector<int> from({1, 2, 3}, &resource);
  const int* const data = from.data();
  const std::pmr::vector<int> moved(std::move(from), &same);
  EXPECT_EQ(moved.data(), data) << "what moves between equal resources is not copied";
}

}  // namespace
}  // namespace weir
