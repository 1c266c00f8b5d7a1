#include "stats/kept_records.h"

#include <algorithm>
#include <mutex>
#include <optional>

namespace weir::detail {
namespace {

bool is_live(const auto& record) { return record.live.load(std::memory_order_relaxed) != 0; }

std::string_view name_of(const PoolRecord& pool) { return pool.name.data(); }

LaneRecord& lane_of(const PoolRecord& pool, std::uint32_t node, std::uint32_t index) {
  return segment().lanes[node * kLanesPerNode + pool.first_lane + index];
}

bool has_classes(const PoolRecord& pool, std::span<const LaneLabel> classes) {
  if (pool.class_count != classes.size()) return false;
  for (std::uint32_t i = 0; i < pool.class_count; ++i) {
    const LaneRecord& lane = lane_of(pool, 0, i);
    if (lane.bytes != classes[i].bytes || lane.alignment != classes[i].alignment) return false;
  }
  return true;
}

void forget(PoolRecord& pool) {
  for (ReceiverRecord& each : segment().receivers) {
    if (!is_live(each) && each.pool == static_cast<std::uint32_t>(&pool - segment().pools.data())) clear_record(each);
  }
  for (std::uint32_t node = 0; node < kMaxNodes; ++node) {
    for (std::uint32_t i = 0; i < pool.class_count; ++i) clear_record(lane_of(pool, node, i));
  }
  clear_record(pool);
}

/// Makes room. False when all pools live.
bool forget_a_pool() {
  auto& pools = segment().pools;
  const auto ended = [](const PoolRecord& each) { return !is_live(each) && each.class_count != 0; };
  const auto alone = [&](const PoolRecord& each) {
    return ended(each) && std::none_of(pools.begin(), pools.end(), [&](const PoolRecord& other) {
             return is_live(other) && name_of(other) == name_of(each);
           });
  };
  auto found = std::find_if(pools.begin(), pools.end(), alone);
  if (found == pools.end()) found = std::find_if(pools.begin(), pools.end(), ended);
  if (found != pools.end()) forget(*found);
  return found != pools.end();
}

bool overlap(const PoolRecord& pool, std::uint32_t first, std::size_t count) {
  return first < pool.first_lane + pool.class_count && pool.first_lane < first + count;
}

bool any_pool(auto is_wanted) { return std::any_of(segment().pools.begin(), segment().pools.end(), is_wanted); }

/// The lowest lanes that no live pool has; nothing when there are not so many together.
std::optional<std::uint32_t> lowest_lanes(std::size_t count) {
  for (std::uint32_t first = 0; first + count < kLanesPerNode; ++first) {
    if (!any_pool([&](const PoolRecord& each) { return is_live(each) && overlap(each, first, count); })) return first;
  }
  return {};
}

/// The highest that no pool has, beside those.
std::optional<std::uint32_t> highest_lanes(std::size_t count, std::uint32_t taken_first, std::size_t taken) {
  for (auto first = static_cast<std::uint32_t>(kLanesPerNode - count); first-- > taken_first + taken;) {
    if (!any_pool([&](const PoolRecord& each) { return overlap(each, first, count); })) return first;
  }
  return {};
}

void move_counts(LaneRecord& from, LaneRecord& to) {
  to.bytes = from.bytes;
  to.alignment = from.alignment;
  for (const auto count :
       {&LaneRecord::refills, &LaneRecord::flushes, &LaneRecord::lends, &LaneRecord::drops, &LaneRecord::requested,
        &LaneRecord::empty, &LaneRecord::magazine_lends, &LaneRecord::ring_lends}) {
    (to.*count).store(from.*count, std::memory_order_relaxed);
  }
  clear_record(from);
}

/// What has ended makes way for what lives: where its lanes are does not matter.
void move_away(PoolRecord& pool, std::uint32_t taken_first, std::size_t taken) {
  const std::optional<std::uint32_t> place = highest_lanes(pool.class_count, taken_first, taken);
  if (!place) return forget(pool);
  for (std::uint32_t node = 0; node < kMaxNodes; ++node) {
    for (std::uint32_t i = 0; i < pool.class_count; ++i)
      move_counts(lane_of(pool, node, i), segment().lanes[node * kLanesPerNode + *place + i]);
  }
  pool.first_lane = *place;
}

/// Gives the record lanes of its own. False when there are none.
bool take_lanes(PoolRecord& fresh, std::span<const LaneLabel> classes) {
  const std::optional<std::uint32_t> first = lowest_lanes(classes.size());
  if (!first) return false;
  for (PoolRecord& each : segment().pools) {
    if (!is_live(each) && overlap(each, *first, classes.size())) move_away(each, *first, classes.size());
  }
  fresh.first_lane = *first;
  fresh.class_count = static_cast<std::uint32_t>(classes.size());
  for (std::uint32_t i = 0; i < fresh.class_count; ++i) {
    lane_of(fresh, 0, i).bytes = classes[i].bytes;
    lane_of(fresh, 0, i).alignment = classes[i].alignment;
  }
  return true;
}

/// Of a pool like it that has ended, or one that nobody had.
PoolRecord* find_pool_record(std::string_view name, std::span<const LaneLabel> classes, bool& lanes_short) {
  auto& pools = segment().pools;
  const std::string_view shown = name.substr(0, sizeof(PoolRecord::name) - 1);
  const auto like = std::find_if(pools.begin(), pools.end(), [&](const PoolRecord& each) {
    return !is_live(each) && name_of(each) == shown && has_classes(each, classes);
  });
  if (like != pools.end()) return &*like;
  const auto is_fresh = [](const PoolRecord& each) { return !is_live(each) && each.class_count == 0; };
  auto fresh = std::find_if(pools.begin(), pools.end(), is_fresh);
  if (fresh == pools.end() && forget_a_pool()) fresh = std::find_if(pools.begin(), pools.end(), is_fresh);
  if (fresh == pools.end()) return nullptr;
  lanes_short = !take_lanes(*fresh, classes);
  if (lanes_short) return nullptr;
  shown.copy(fresh->name.data(), shown.size());
  return &*fresh;
}

bool is_of(const ReceiverRecord& record, const ReceiverLabel& label) {
  return record.pool == label.pool && record.thread == label.thread && record.strategy == label.strategy &&
         record.asked == label.asked;
}

ReceiverLabel label_of(const ReceiverRecord& record) {
  return {.pool = record.pool, .thread = record.thread, .strategy = record.strategy, .asked = record.asked};
}

/// All of a label go at once, for else what is left would have fallen.
void forget_receivers(const ReceiverLabel& label) {
  for (ReceiverRecord& each : segment().receivers) {
    if (!is_live(each) && is_of(each, label)) clear_record(each);
  }
}

ReceiverRecord* find_ended(auto wanted) {
  auto& receivers = segment().receivers;
  const auto found = std::find_if(receivers.begin(), receivers.end(),
                                  [&](const ReceiverRecord& each) { return !is_live(each) && wanted(each); });
  return found != receivers.end() ? &*found : nullptr;
}

ReceiverRecord* find_receiver_record(const ReceiverLabel& label) {
  if (ReceiverRecord* like = find_ended([&](const ReceiverRecord& each) { return is_of(each, label); })) return like;
  const auto unused = [](const ReceiverRecord& each) { return each.thread == 0; };
  if (ReceiverRecord* fresh = find_ended(unused)) return fresh;
  const auto& receivers = segment().receivers;
  const auto alone = [&](const ReceiverRecord& each) {
    return std::none_of(receivers.begin(), receivers.end(),
                        [&](const ReceiverRecord& other) { return is_live(other) && is_of(other, label_of(each)); });
  };
  ReceiverRecord* ended = find_ended(alone);
  if (ended == nullptr) ended = find_ended([](const ReceiverRecord&) { return true; });
  if (ended != nullptr) forget_receivers(label_of(*ended));
  return ended;
}

}  // namespace

void PoolRecord::end() {
  traces = 0;
  base = 0;
  unlisted = 0;
}

void LaneRecord::end() {
  capacity = 0;
  free = 0;
  high_water = 0;
}

void ReceiverRecord::end() {
  connections = 0;
  parked = 0;
  idle = 0;
}

PoolRecord* take_pool_record(std::string_view name, std::span<const LaneLabel> classes, bool& lanes_short) {
  const std::lock_guard lock(registry_mutex());
  PoolRecord* record = find_pool_record(name, classes, lanes_short);
  if (record != nullptr) record->live.store(1, std::memory_order_release);
  return record;
}

ReceiverRecord* take_receiver_record(const ReceiverLabel& label) {
  const std::lock_guard lock(registry_mutex());
  ReceiverRecord* record = find_receiver_record(label);
  if (record == nullptr) return nullptr;
  record->pool = label.pool;
  record->thread = label.thread;
  record->strategy = label.strategy;
  record->asked = label.asked;
  record->live.store(1, std::memory_order_release);
  return record;
}

}  // namespace weir::detail
