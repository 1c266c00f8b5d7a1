#include "borrows.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "clock_difference.h"
#include "text.h"

namespace weir::tool {
namespace {

using detail::BorrowRecord;
using Records = std::vector<const BorrowRecord*>;
using std::chrono::nanoseconds;

/// The records that are the same in two copies: nobody was writing them.
Records stable_records(std::span<const BorrowRecord> now, const std::vector<std::byte>& before) {
  const std::size_t count = std::min(now.size(), before.size() / sizeof(BorrowRecord));
  Records records;
  for (std::size_t i = 0; i < count; ++i) {
    const bool same = std::memcmp(&now[i], before.data() + i * sizeof(BorrowRecord), sizeof(BorrowRecord)) == 0;
    if (same && now[i].buffer != 0) records.push_back(&now[i]);
  }
  return records;
}

Records read_stable(SegmentReader& reader) {
  const auto first = std::as_bytes(reader.read_borrows());
  const std::vector<std::byte> before(first.begin(), first.end());
  return stable_records(reader.read_borrows(), before);
}

/// The process's CLOCK_MONOTONIC; empty: unknown.
std::optional<std::uint64_t> time_in(const OpenTarget& target) {
  const auto ahead = target.process ? clock_difference(*target.process) : std::nullopt;
  if (!ahead) return std::nullopt;
  return static_cast<std::uint64_t>((std::chrono::steady_clock::now().time_since_epoch() + *ahead).count());
}

std::uint64_t newest_of(const Records& records) {
  std::uint64_t newest = 0;
  for (const BorrowRecord* record : records) newest = std::max(newest, record->since);
  return newest;
}

nanoseconds age_of(const BorrowRecord& record, std::uint64_t now) {
  const std::uint64_t age = record.since < now ? now - record.since : 0;
  return nanoseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(age, INT64_MAX)));
}

std::string pool_name(const detail::Segment& segment, std::uint32_t pool) {
  return pool < detail::kMaxPools ? printable(segment.pools[pool].name) : "?";
}

std::vector<std::uint64_t> stack_of(const BorrowRecord& record) {
  const auto depth = std::min(record.depth, detail::kBorrowFrames);
  return {record.stack.begin(), record.stack.begin() + depth};
}

void add(BorrowGroup& group, const BorrowRecord& record, nanoseconds age) {
  ++group.loans;
  group.bytes += record.bytes;
  if (group.loans > 1 && age <= group.oldest) return;
  group.oldest = age;
  group.thread = record.thread;
}

}  // namespace

Borrows read_borrows(const OpenTarget& target, nanoseconds older) {
  target.reader->read_records();
  const detail::Segment& segment = target.reader->segment();
  Borrows borrows;
  for (const detail::PoolRecord& pool : segment.pools) {
    if (pool.live == 0 || pool.traces == 0) continue;
    borrows.traced = true;
    borrows.unlisted += pool.unlisted;
  }
  if (!borrows.traced) return borrows;
  const Records records = read_stable(*target.reader);
  const std::optional<std::uint64_t> time = time_in(target);
  const std::uint64_t now = time ? *time : newest_of(records);
  borrows.clock_unknown = !time;
  std::map<std::tuple<std::uint32_t, std::string, std::vector<std::uint64_t>>, BorrowGroup> groups;
  for (const BorrowRecord* record : records) {
    const nanoseconds age = age_of(*record, now);
    borrows.oldest = std::max(borrows.oldest.value_or(age), age);
    if (age < older) continue;
    ++borrows.loans;
    auto& group = groups[{record->pool, printable(record->tag), stack_of(*record)}];
    add(group, *record, age);
  }
  const auto numbers = target.process ? thread_numbers(*target.process) : std::map<std::uint32_t, std::uint32_t>{};
  for (auto& [key, group] : groups) {
    const auto& [pool, tag, stack] = key;
    group.pool = pool_name(segment, pool);
    group.tag = tag;
    group.stack = stack;
    if (const auto here = numbers.find(group.thread); here != numbers.end()) group.thread = here->second;
    borrows.groups.push_back(std::move(group));
  }
  std::stable_sort(borrows.groups.begin(), borrows.groups.end(),
                   [](const BorrowGroup& a, const BorrowGroup& b) { return a.oldest > b.oldest; });
  return borrows;
}

}  // namespace weir::tool
