#include "snapshot.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <thread>

#include "stats/counts.h"
#include "text.h"

namespace weir::tool {
namespace {

using namespace detail;  // the segment's words

constexpr int kRounds = 20;
constexpr std::chrono::microseconds kBetweenRounds{300};

using LaneRows = std::array<std::optional<ClassRow>, kLanes>;

/// The first half of a lend or return is seen now and then without the other: no count may be more than all.
bool is_settled(const Counts& counts) {
  const std::array parts{counts.free, counts.cached, counts.user, counts.kernel_ring, counts.kernel_request};
  const auto fits = [&](std::uint64_t part) { return part <= counts.capacity; };
  return counts.law_holds() && std::all_of(parts.begin(), parts.end(), fits);
}

std::uint64_t ring_lends_of(const Segment& segment, std::uint32_t lane_index) {
  std::uint64_t lends = 0;
  for (const RingRecord& ring : segment.rings) {
    if (ring.live != 0 && ring.lane == lane_index) lends += ring.claimed;
  }
  return lends;
}

ClassRow read_lane(SegmentReader& reader, std::uint32_t lane_index) {
  reader.read_lane(lane_index);
  const Segment& segment = reader.segment();
  const LaneRecord& lane = segment.lanes[lane_index];
  ClassRow row{.bytes = lane.bytes, .alignment = lane.alignment, .tally = {}};
  row.tally.counts = counts_of_lane(segment, lane_index);
  if (lane.stride != 0 && lane.slab_bytes >= lane.stride)
    row.slab_bytes = row.tally.counts.capacity / (lane.slab_bytes / lane.stride) * lane.slab_bytes;
  row.tally.settled = is_settled(row.tally.counts);
  row.tally.high_water = lane.high_water;
  row.tally.lends = lends_of_lane(segment, lane_index);
  const std::uint64_t ring_lends = ring_lends_of(segment, lane_index);
  row.tally.ring_lends = lane.ring_lends + ring_lends;
  row.tally.magazine_lends = lane.magazine_lends + row.tally.lends - ring_lends - lane.lends;
  row.tally.empty = lane.empty;
  row.tally.refills = lane.refills;
  row.tally.flushes = lane.flushes;
  // More drops than lends were seen, or more requests' ends than requests, so the difference went below zero.
  if (static_cast<std::int64_t>(row.tally.counts.user) < 0) row.tally.counts.user = 0;
  if (static_cast<std::int64_t>(row.tally.counts.kernel_request) < 0) row.tally.counts.kernel_request = 0;
  return row;
}

/// Reads all lanes that are not settled yet. True when then all are.
bool read_unsettled(SegmentReader& reader, const std::vector<std::uint32_t>& lanes, LaneRows& rows) {
  bool settled = true;
  for (const std::uint32_t lane : lanes) {
    if (!rows[lane] || !rows[lane]->tally.settled) rows[lane] = read_lane(reader, lane);
    settled = settled && rows[lane]->tally.settled;
  }
  return settled;
}

std::vector<std::uint32_t> lanes_in_use(const Segment& segment) {
  std::vector<std::uint32_t> lanes;
  for (const PoolRecord& pool : segment.pools) {
    if (!is_sound(pool) && !is_sound_ended(pool)) continue;
    for (std::uint32_t node = 0; node < node_count(segment); ++node) {
      for (std::uint32_t i = 0; i < pool.class_count; ++i) lanes.push_back(lane_index_of(pool, node, i));
    }
  }
  std::sort(lanes.begin(), lanes.end());
  lanes.erase(std::unique(lanes.begin(), lanes.end()), lanes.end());  // only hostile pools share lanes
  return lanes;
}

LaneRows read_lanes(SegmentReader& reader) {
  LaneRows rows;
  const std::vector<std::uint32_t> lanes = lanes_in_use(reader.segment());
  for (int round = 1; !read_unsettled(reader, lanes, rows) && round < kRounds; ++round) {
    std::this_thread::sleep_for(kBetweenRounds);
  }
  return rows;
}

std::vector<Grade> arenas_of(const Segment& segment, std::uint32_t pool) {
  std::vector<Grade> grades;
  for (const ArenaRecord& arena : segment.arenas) {
    if (arena.live == 0 || arena.pool != pool) continue;
    Grade& grade = grades.emplace_back();
    grade.node = arena.node;
    grade.bytes = arena.bytes;
    grade.page_bytes = arena.page_bytes;
    grade.huge_tlb = arena.huge_tlb != 0;
    grade.populated = arena.populated != 0;
    grade.locked = arena.locked != 0;
    grade.bound = arena.bound != 0;
    grade.reason = printable(arena.reason);
  }
  return grades;
}

std::vector<NodeRow> nodes_of(const Segment& segment, const PoolRecord& pool, const LaneRows& rows) {
  std::vector<NodeRow> nodes;
  for (std::uint32_t node = 0; node < node_count(segment); ++node) {
    NodeRow& row = nodes.emplace_back(NodeRow{.node = segment.header.nodes[node], .classes = {}});
    for (std::uint32_t i = 0; i < pool.class_count; ++i) {
      row.classes.push_back(rows[lane_index_of(pool, node, i)].value_or(ClassRow{}));
    }
  }
  return nodes;
}

std::vector<RingRow> rings_of(const Segment& segment, const PoolRecord& pool) {
  std::vector<RingRow> rings;
  for (const RingRecord& ring : segment.rings) {
    if (ring.live == 0 || !has_lane(segment, pool, ring.lane)) continue;
    rings.push_back({.node = segment.header.nodes[ring.lane / kLanesPerNode],
                     .buffer_bytes = segment.lanes[ring.lane].bytes,
                     .group = ring.group,
                     .entries = ring.entries,
                     .filled = ring.filled});
  }
  return rings;
}

/// A segment may say anything.
std::string strategy_text(std::uint32_t number) {
  return number <= UINT8_MAX ? name_of(static_cast<Strategy>(number)) : "?";
}

std::vector<ReceiverRow> receivers_of(const Segment& segment, bool ended) {
  std::vector<ReceiverRow> receivers;
  for (std::uint32_t i = 0; i < kMaxReceivers; ++i) {
    const ReceiverRecord& receiver = segment.receivers[i];
    if ((receiver.live == 0) != ended || receiver.thread == 0) continue;
    receivers.push_back({.slot = i,
                         .pool_slot = receiver.pool,
                         .pool = receiver.pool < kMaxPools ? printable(segment.pools[receiver.pool].name) : "?",
                         .own_thread = receiver.thread,
                         .thread = receiver.thread,
                         .strategy = strategy_text(receiver.strategy),
                         .chosen = receiver.asked == static_cast<std::uint32_t>(Strategy::automatic),
                         .connections = receiver.connections,
                         .parked = receiver.parked,
                         .idle = receiver.idle,
                         .receives = receiver.receives,
                         .bytes = receiver.bytes,
                         .enobufs = receiver.enobufs,
                         .wakes = receiver.wakes,
                         .cancels = receiver.cancels,
                         .reclaimed = receiver.reclaimed});
  }
  return receivers;
}

template <typename Parts>
Tally sum_of(const Parts& parts) {
  Tally sum;
  for (const auto& part : parts) sum += part.tally();
  return sum;
}

}  // namespace

Tally& Tally::operator+=(const Tally& other) {
  counts += other.counts;
  settled = settled && other.settled;
  high_water += other.high_water;
  lends += other.lends;
  magazine_lends += other.magazine_lends;
  ring_lends += other.ring_lends;
  empty += other.empty;
  refills += other.refills;
  flushes += other.flushes;
  return *this;
}

Tally NodeRow::tally() const {
  Tally sum;
  for (const ClassRow& row : classes) sum += row.tally;
  return sum;
}

Tally PoolView::tally() const { return sum_of(nodes); }

Connections& Connections::operator+=(const Connections& other) {
  all += other.all;
  idle += other.idle;
  parked += other.parked;
  return *this;
}

Connections connections_of(const std::vector<ReceiverRow>& receivers) {
  Connections sum;
  for (const ReceiverRow& row : receivers) sum += {.all = row.connections, .idle = row.idle, .parked = row.parked};
  return sum;
}

Tally Snapshot::tally() const {
  Tally sum = sum_of(pools);
  return sum += sum_of(ended_pools);
}

std::uint64_t PoolView::slab_bytes() const {
  std::uint64_t bytes = 0;
  for (const NodeRow& node : nodes) {
    for (const ClassRow& row : node.classes) bytes += row.slab_bytes;
  }
  return bytes;
}

std::uint64_t PoolView::buffer_bytes() const {
  std::uint64_t bytes = 0;
  for (const NodeRow& node : nodes) {
    for (const ClassRow& row : node.classes) bytes += row.tally.counts.capacity * row.bytes;
  }
  return bytes;
}

std::uint64_t PoolView::mapped_bytes() const {
  std::uint64_t bytes = 0;
  for (const Grade& arena : arenas) bytes += arena.bytes;
  return bytes;
}

Snapshot take_snapshot(SegmentReader& reader) {
  reader.read_records();
  const LaneRows rows = read_lanes(reader);
  const Segment& segment = reader.segment();
  Snapshot snapshot{.pid = segment.header.process_id,
                    .program = printable(segment.header.program),
                    .pools = {},
                    .receivers = receivers_of(segment, false),
                    .ended_pools = {},
                    .ended_receivers = receivers_of(segment, true)};
  for (std::uint32_t i = 0; i < kMaxPools; ++i) {
    const PoolRecord& pool = segment.pools[i];
    if (is_sound_ended(pool)) {
      snapshot.ended_pools.push_back(
          {.slot = i, .name = printable(pool.name), .arenas = {}, .nodes = nodes_of(segment, pool, rows), .rings = {}});
    }
    if (!is_sound(pool)) continue;
    snapshot.pools.push_back({.slot = i,
                              .name = printable(pool.name),
                              .arenas = arenas_of(segment, i),
                              .nodes = nodes_of(segment, pool, rows),
                              .rings = rings_of(segment, pool)});
  }
  return snapshot;
}

}  // namespace weir::tool
