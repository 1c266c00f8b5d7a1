#include "receive/slot_queue.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace weir::detail
