#include "core/node_stock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

namespace weir::detail {
namespace {

constexpr std::size_t kSlab = 64 * 1024;
constexpr std::size_t kPage = 4096;

class NodeStockTest : public testing::Test {
 protected:
  NodeStockTest() { stock_.add_memory(memory_.get(), 4 * kSlab); }

  bool inside(const std::byte* where, std::size_t bytes) const {
    return where >= memory_.get() && where + bytes <= memory_.get() + 4 * kSlab;
  }

  std::unique_ptr<std::byte, decltype(&std::free)> memory_{
      static_cast<std::byte*>(std::aligned_alloc(kSlab, 4 * kSlab)), &std::free};
  NodeStock stock_{kSlab};
};

TEST_F(NodeStockTest, GivesEachSlabOnce) {
  std::set<std::byte*> slabs;
  while (std::byte* slab = stock_.take_slab()) {
    EXPECT_TRUE(inside(slab, kSlab));
    EXPECT_EQ(static_cast<std::size_t>(slab - memory_.get()) % kSlab, 0U);
    EXPECT_TRUE(slabs.insert(slab).second);
  }
  EXPECT_EQ(slabs.size(), 4U);
  for (std::byte* slab : slabs) stock_.give_slab(slab);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(slabs.erase(stock_.take_slab()));
  EXPECT_EQ(stock_.take_slab(), nullptr);
}

TEST_F(NodeStockTest, HasNothingBeforeMemoryIsAdded) {
  NodeStock empty(kSlab);
  EXPECT_EQ(empty.take_slab(), nullptr);
  EXPECT_EQ(empty.take_pages(1), nullptr);
}

TEST_F(NodeStockTest, PagesAreAlignedAndDoNotOverlap) {
  std::set<std::byte*> pages;
  for (const std::size_t bytes : {std::size_t{16}, kPage, kPage + 1, 3 * kPage, std::size_t{1}}) {
    std::byte* got = stock_.take_pages(bytes);
    ASSERT_NE(got, nullptr);
    for (std::size_t at = 0; at < bytes; at += kPage) EXPECT_TRUE(pages.insert(got + at).second) << "taken twice";
  }
  for (std::byte* page : pages) {
    EXPECT_TRUE(inside(page, kPage));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % kPage, 0U);
  }
}

TEST_F(NodeStockTest, PagesOfOneSlabAreSharedBeforeAnotherIsTaken) {
  for (std::size_t i = 0; i < kSlab / kPage; ++i) ASSERT_NE(stock_.take_pages(kPage), nullptr);
  for (int i = 0; i < 3; ++i) EXPECT_NE(stock_.take_slab(), nullptr) << "sixteen pages are one slab of four";
  EXPECT_EQ(stock_.take_slab(), nullptr);
  EXPECT_EQ(stock_.take_pages(kPage), nullptr);
}

TEST_F(NodeStockTest, AWholeSlabOfPagesFitsAndMoreDoesNot) {
  EXPECT_EQ(stock_.take_pages(kSlab + 1), nullptr);
  for (int i = 0; i < 4; ++i) EXPECT_NE(stock_.take_pages(kSlab), nullptr);
  EXPECT_EQ(stock_.take_pages(1), nullptr);
}

TEST_F(NodeStockTest, PagesGivenBackAreTakenAgain) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = stock_.take_pages(4 * kPage)) taken.push_back(pages);
  EXPECT_EQ(taken.size(), 4 * kSlab / (4 * kPage));
  stock_.give_pages(taken[5], 4 * kPage);
  EXPECT_EQ(stock_.take_pages(5 * kPage), nullptr) << "a gap of four pages does not hold five";
  EXPECT_EQ(stock_.take_pages(4 * kPage), taken[5]);
}

TEST_F(NodeStockTest, NeighbouringGapsJoin) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = stock_.take_pages(kPage)) taken.push_back(pages);
  stock_.give_pages(taken[3], kPage);
  stock_.give_pages(taken[4], kPage);
  EXPECT_EQ(stock_.take_pages(2 * kPage), taken[3]);
}

}  // namespace
}  // namespace weir::detail
