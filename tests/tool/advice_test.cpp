#include "weir/advice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/units.h"

// Made-up snapshots, and what is advised.

namespace weir::tool {
namespace {

using base::kMiB;

constexpr std::uint64_t kMapped = 64 * kMiB;

ClassRow class_of(std::uint32_t bytes, std::uint64_t capacity, std::uint64_t high_water) {
  ClassRow row{.bytes = bytes, .alignment = 64, .slab_bytes = capacity * bytes, .tally = {}};
  row.tally.counts.capacity = capacity;
  row.tally.counts.free = capacity;
  row.tally.high_water = high_water;
  row.tally.lends = 5000;
  return row;
}

/// A pool of 64 MiB, of which half was in use, with a ring for 200 busy connections that is of the right size.
Snapshot content() {
  Grade arena;
  arena.bytes = kMapped;
  Snapshot snapshot{.pid = 1, .program = "made up", .pools = {}, .receivers = {}};
  const NodeRow node{.node = 0,
                     .classes = {class_of(512, 0, 0), class_of(4096, 1000, 500), class_of(16384, 3000, 2000)}};
  snapshot.pools.push_back({.name = "pool", .arenas = {arena}, .nodes = {node}, .rings = {}});
  snapshot.pools[0].rings.push_back({.node = 0, .buffer_bytes = 16384, .group = 64, .entries = 256, .filled = 256});
  ReceiverRow receiver{.pool = "pool", .own_thread = 7, .strategy = "ring", .chosen = true, .connections = 200};
  receiver.receives = 100'000;
  receiver.bytes = receiver.receives * 9000;
  snapshot.receivers.push_back(receiver);
  return snapshot;
}

/// The lines of all advice, with semicolons.
std::string lines_for(const Snapshot& snapshot) {
  std::string lines;
  for (const Advice& each : advise(snapshot)) {
    EXPECT_FALSE(each.finding.empty() || each.effect.empty());
    EXPECT_EQ(each.pool, "pool");
    lines += (lines.empty() ? "" : "; ") + each.line;
  }
  return lines;
}

std::string first_effect(const Snapshot& snapshot) {
  const auto advice = advise(snapshot);
  return advice.empty() ? "" : advice.front().effect;
}

ClassRow& largest(Snapshot& snapshot) { return snapshot.pools[0].nodes[0].classes.back(); }

TEST(Advice, ThereIsNoneForWhoIsServedWell) {
  EXPECT_EQ(lines_for(content()), "");
  EXPECT_EQ(lines_for(Snapshot{}), "");
}

TEST(Advice, MoreMemoryWhereLendsFoundNone) {
  Snapshot snapshot = content();
  largest(snapshot).tally.empty = 3;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_BYTES=128m");
  largest(snapshot).tally.empty = 0;
  snapshot.receivers[0].parked = 2;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_BYTES=128m");
}

TEST(Advice, LessMemoryWhereMostWasNeverUsed) {
  Snapshot snapshot = content();
  largest(snapshot).tally.high_water = 1000;  // 15.6 MiB and 2.0 MiB
  EXPECT_EQ(lines_for(snapshot), "export WEIR_BYTES=24m");
  for (ClassRow& row : snapshot.pools[0].nodes[0].classes) row.tally.lends = 0;
  EXPECT_EQ(lines_for(snapshot), "") << "nobody came yet";
}

TEST(Advice, LargerRingsWhereReceivesFoundThemEmpty) {
  Snapshot snapshot = content();
  snapshot.receivers[0].enobufs = 2000;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RING_ENTRIES=512");
  EXPECT_NE(first_effect(snapshot).find("4 MiB more, which the pool has"), std::string::npos);
  snapshot.receivers[0].enobufs = 900;
  EXPECT_EQ(lines_for(snapshot), "") << "fewer than one in a hundred";
  snapshot.receivers[0].enobufs = 2000;
  snapshot.receivers[0].strategy = "ring_lazy";
  EXPECT_EQ(lines_for(snapshot), "") << "lazy rings are empty by intention";
}

TEST(Advice, LargerRingsMayNeedMoreMemory) {
  Snapshot snapshot = content();
  snapshot.receivers[0].enobufs = 2000;
  largest(snapshot).slab_bytes = 58 * kMiB;
  EXPECT_NE(first_effect(snapshot).find("export WEIR_BYTES=68m too"), std::string::npos);
}

TEST(Advice, RingsOfManySizesAreAddedUpEachAsItIs) {
  Snapshot snapshot = content();
  snapshot.receivers[0].strategy = "ring_adaptive";
  snapshot.receivers[0].enobufs = 2000;
  snapshot.pools[0].rings.push_back({.node = 0, .buffer_bytes = 4096, .group = 65, .entries = 256, .filled = 8});
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RING_ENTRIES=512");
  EXPECT_NE(first_effect(snapshot).find("may take 5 MiB more"), std::string::npos) << first_effect(snapshot);
}

TEST(Advice, MoreMemoryWhereRingsMayHoldLessThanTheirSlots) {
  Snapshot snapshot = content();
  snapshot.receivers[0].enobufs = 2000;
  snapshot.pools[0].rings[0].entries = 4096;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_BYTES=128m") << "they have 32 MiB at most";
}

TEST(Advice, SmallerRingsWhereFewConnectionsNeverEmptiedThem) {
  Snapshot snapshot = content();
  snapshot.receivers[0].connections = 20;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RING_ENTRIES=64");
  snapshot.pools[0].rings[0].filled = 64;
  EXPECT_EQ(lines_for(snapshot), "") << "slots without a buffer take no memory";
  snapshot.pools[0].rings[0].filled = 256;
  snapshot.pools[0].rings.push_back({.node = 0, .buffer_bytes = 512, .group = 65, .entries = 256, .filled = 256});
  EXPECT_NE(first_effect(snapshot).find("3.1 MiB less"), std::string::npos) << first_effect(snapshot);
  snapshot.receivers[0].receives = 10;
  EXPECT_EQ(lines_for(snapshot), "") << "too early to say";
}

TEST(Advice, BuffersOfTheSizeOfWhatComes) {
  Snapshot snapshot = content();
  snapshot.receivers[0].bytes = snapshot.receivers[0].receives * 900;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RECV_BYTES=4096");
  snapshot.receivers[0].bytes = snapshot.receivers[0].receives * 3000;
  EXPECT_EQ(lines_for(snapshot), "");
  snapshot.receivers[0].bytes = snapshot.receivers[0].receives * 15800;
  EXPECT_EQ(lines_for(snapshot), "") << "there is no larger size";
  snapshot.pools[0].nodes[0].classes.push_back(class_of(65536, 0, 0));
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RECV_BYTES=65536");
  snapshot.receivers[0].bytes = snapshot.receivers[0].receives * 16384;
  EXPECT_EQ(lines_for(snapshot), "") << "all of them fit";
  snapshot.receivers[0].bytes = snapshot.receivers[0].receives * 900;
  snapshot.receivers[0].strategy = "ring_sized";
  EXPECT_EQ(lines_for(snapshot), "") << "it finds the size itself";
}

TEST(Advice, SizesThatFillTheirSlabs) {
  Snapshot snapshot = content();
  ClassRow odd = class_of(1U << 20 | 64U, 4, 4);  // one in each slab
  odd.slab_bytes = 4 * base::kHugePage;
  snapshot.pools[0].nodes[0].classes.push_back(odd);
  EXPECT_EQ(lines_for(snapshot), "export WEIR_CLASSES=512,4096,16384,1048576");
}

TEST(Advice, AKeptRingWhereLazyOnesAreTriedTwice) {
  Snapshot snapshot = content();
  snapshot.receivers[0].enobufs = 60'000;
  snapshot.receivers[0].strategy = "ring_sized_lazy";
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RECV=ring_sized");
}

TEST(Advice, PollingWhereBuffersWaitWithTheKernel) {
  Snapshot snapshot = content();
  largest(snapshot).tally.counts.kernel_request = 190;
  EXPECT_EQ(lines_for(snapshot), "") << "of another strategy, maybe of files";
  snapshot.receivers[0].strategy = "direct";
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RECV=poll_adaptive");
}

TEST(Advice, MorePatienceWhereMostReceivesAreCancelled) {
  Snapshot snapshot = content();
  snapshot.receivers[0].cancels = 60'000;
  EXPECT_EQ(lines_for(snapshot), "") << "the program stopped or paused those";
  snapshot.receivers[0].reclaimed = 60'000;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_IDLE=10000");
}

TEST(Advice, MemoryThatIsNotWhatWasAskedFor) {
  Snapshot snapshot = content();
  snapshot.pools[0].arenas[0].reason = "no 2 MiB hugetlb";
  EXPECT_EQ(lines_for(snapshot), "weir doctor");
  EXPECT_EQ(first_effect(snapshot), "no 2 MiB hugetlb");
}

TEST(Advice, OfAWindowIsOfWhatHappenedInIt) {
  Snapshot earlier = content();
  earlier.receivers[0].enobufs = 90'000;
  largest(earlier).tally.empty = 7;
  Snapshot later = earlier;
  EXPECT_EQ(lines_for(since(later, earlier)), "");
  later.receivers[0].receives += 1000;
  later.receivers[0].bytes += 1000 * 9000;
  later.receivers[0].enobufs += 500;
  EXPECT_EQ(lines_for(since(later, earlier)), "export WEIR_RING_ENTRIES=512");
  EXPECT_EQ(since(earlier, later).receivers[0].enobufs, 0U) << "counts that ran backwards";
  earlier.receivers[0].own_thread = 8;
  EXPECT_EQ(since(later, earlier).receivers[0].enobufs, 90'500U) << "a receiver that is new";
}

/// Every pool that is given no name has the same one.
TEST(Advice, APoolIsNotJudgedByTheReceiversOfAnotherOfItsName) {
  Snapshot snapshot = content();
  PoolView other = snapshot.pools[0];
  other.slot = snapshot.pools[0].slot + 1;
  snapshot.pools.push_back(other);
  snapshot.receivers.push_back(snapshot.receivers[0]);
  snapshot.receivers[1].pool_slot = other.slot;
  snapshot.receivers[1].strategy = "ring_sized_lazy";
  snapshot.receivers[1].enobufs = 60'000;
  EXPECT_EQ(lines_for(snapshot), "export WEIR_RECV=ring_sized");
  Snapshot later = snapshot;
  later.pools[1].nodes[0].classes[0].tally.lends += 7;
  EXPECT_EQ(since(later, snapshot).pools[1].nodes[0].classes[0].tally.lends, 7U);
}

}  // namespace
}  // namespace weir::tool
