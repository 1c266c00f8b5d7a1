#include "receive/slot_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "seed.h"

namespace weir::detail {
namespace {

TEST(SlotQueue, FirstInFirstOutAndEachInOneQueueAtATime) {
  std::vector<Connection> connections(4);
  SlotQueue first(connections, Queue::to_arm);
  SlotQueue second(connections, Queue::parked);
  for (const std::uint32_t slot : {2U, 0U, 3U}) first.push(slot);
  second.push(1);
  EXPECT_EQ(connections[2].queue, Queue::to_arm);
  EXPECT_EQ(connections[1].queue, Queue::parked);
  EXPECT_EQ(first.count(), 3U);
  EXPECT_EQ(first.pop(), 2U);
  EXPECT_EQ(connections[2].queue, Queue::none);
  second.push(2);
  EXPECT_EQ(first.pop(), 0U);
  first.push(0);
  EXPECT_EQ(first.pop(), 3U);
  EXPECT_EQ(first.pop(), 0U);
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(second.pop(), 1U);
  EXPECT_EQ(second.pop(), 2U);
}

TEST(SlotQueue, AnyoneLeavesTheLine) {
  std::mt19937_64 random{testing::seed() + 1U};
  std::vector<Connection> connections(8);
  SlotQueue queue(connections, Queue::parked);
  std::vector<std::uint32_t> line;
  for (int round = 0; round < 2000; ++round) {
    const std::uint32_t slot = random() % 8;
    const auto place = std::find(line.begin(), line.end(), slot);
    if (place == line.end()) {
      queue.push(slot);
      line.push_back(slot);
    } else if (random() % 2 == 0) {
      queue.remove(slot);
      line.erase(place);
      EXPECT_EQ(connections[slot].queue, Queue::none);
    } else {
      ASSERT_EQ(queue.pop(), line.front());
      line.erase(line.begin());
    }
    ASSERT_EQ(queue.count(), line.size());
  }
  for (const std::uint32_t slot : line) ASSERT_EQ(queue.pop(), slot);
}

}  // namespace
}  // namespace weir::detail
