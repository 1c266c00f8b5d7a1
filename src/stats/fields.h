#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "stats/records.h"

// The one table of what the segment holds. The segment carries it for readers that know nothing else; the exported
// metrics and docs/segment.md take names, kinds, units and meanings from it.

namespace weir::detail {

enum class FieldKind : std::uint8_t {
  identity,  ///< says which one it is; does not change while the record is in use
  text,
  gauge,
  counter,  ///< only grows, until the record is of something else
};

constexpr std::string_view name_of(FieldKind kind) {
  constexpr std::array<std::string_view, 4> kNames{"identity", "text", "gauge", "counter"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// Where a member lies, and how it is stored.
struct FieldPlace {
  std::string_view name;
  std::string_view type;
  std::size_t offset;
  std::size_t bytes;  ///< of one value
  std::size_t count;
};

struct Field {
  FieldPlace place;
  FieldKind kind;
  std::string_view unit;
  std::string_view meaning;
  std::uint32_t shift = 0;  ///< a word may hold several fields
  std::uint32_t bits = static_cast<std::uint32_t>(8 * place.bytes);
};

struct RecordKind {
  std::string_view name;
  std::size_t offset;
  std::size_t stride;
  std::size_t count;
  std::string_view meaning;
  std::span<const Field> fields;
};

namespace fields {

template <typename Value>
struct Stored;
template <>
struct Stored<std::uint8_t> {
  static constexpr std::string_view kType = "u8";
};
template <>
struct Stored<std::uint32_t> {
  static constexpr std::string_view kType = "u32";
};
template <>
struct Stored<std::int32_t> {
  static constexpr std::string_view kType = "i32";
};
template <>
struct Stored<std::uint64_t> {
  static constexpr std::string_view kType = "u64";
};
template <>
struct Stored<std::byte*> : Stored<std::uint64_t> {};
template <typename Value>
struct Stored<std::atomic<Value>> : Stored<Value> {};

template <typename Member>
struct PlaceOf {
  static constexpr FieldPlace at(std::string_view name, std::size_t offset) {
    return {name, Stored<Member>::kType, offset, sizeof(Member), 1};
  }
};
template <std::size_t Size>
struct PlaceOf<std::array<char, Size>> {
  static constexpr FieldPlace at(std::string_view name, std::size_t offset) { return {name, "text", offset, Size, 1}; }
};
template <typename Value, std::size_t Size>
struct PlaceOf<std::array<Value, Size>> {
  static constexpr FieldPlace at(std::string_view name, std::size_t offset) {
    return {name, Stored<Value>::kType, offset, sizeof(Value), Size};
  }
};
template <typename Value, std::size_t Size>
struct PlaceOf<Value[Size]> : PlaceOf<std::array<Value, Size>> {};

inline constexpr FieldKind kIdentity = FieldKind::identity;
inline constexpr FieldKind kText = FieldKind::text;
inline constexpr FieldKind kGauge = FieldKind::gauge;
inline constexpr FieldKind kCounter = FieldKind::counter;

// So that a member's name is written once.
#define WEIR_FIELD(record, member) PlaceOf<decltype(record::member)>::at(#member, offsetof(record, member))

inline constexpr std::array kHeader{
    Field{WEIR_FIELD(SegmentHeader, magic), kText, "", "weirseg"},
    Field{WEIR_FIELD(SegmentHeader, version), kIdentity, "", "of this layout"},
    Field{WEIR_FIELD(SegmentHeader, process_id), kIdentity, "", "what the process calls itself"},
    Field{WEIR_FIELD(SegmentHeader, file_bytes), kIdentity, "bytes", "size of the file"},
    Field{{"records_at", "u64", offsetof(SegmentHeader, tables.records_at), 8, 1},
          kIdentity,
          "bytes",
          "offset of the record entries in the file"},
    Field{{"fields_at", "u64", offsetof(SegmentHeader, tables.fields_at), 8, 1},
          kIdentity,
          "bytes",
          "offset of the field entries in the file"},
    Field{{"record_stride", "u32", offsetof(SegmentHeader, tables.record_stride), 4, 1},
          kIdentity,
          "bytes",
          "from one record entry to the next"},
    Field{{"record_count", "u32", offsetof(SegmentHeader, tables.record_count), 4, 1}, kIdentity, "", "record entries"},
    Field{{"field_stride", "u32", offsetof(SegmentHeader, tables.field_stride), 4, 1},
          kIdentity,
          "bytes",
          "from one field entry to the next"},
    Field{{"field_count", "u32", offsetof(SegmentHeader, tables.field_count), 4, 1}, kIdentity, "", "field entries"},
    Field{WEIR_FIELD(SegmentHeader, node_count), kIdentity, "", "NUMA nodes with memory"},
    Field{WEIR_FIELD(SegmentHeader, nodes), kIdentity, "", "the system's number of each node index"},
    Field{WEIR_FIELD(SegmentHeader, program), kText, "", "name of the program"},
};

inline constexpr std::array kPool{
    Field{WEIR_FIELD(PoolRecord, live), kIdentity, "", "1: the pool is there; else what its lanes count may still be"},
    Field{WEIR_FIELD(PoolRecord, first_lane), kIdentity, "",
          "lane of its smallest class, in the 256 lanes of each node"},
    Field{WEIR_FIELD(PoolRecord, class_count), kIdentity, "", "size classes, each with a lane on each node"},
    Field{WEIR_FIELD(PoolRecord, traces), kIdentity, "", "1: its loans are among the borrows"},
    Field{WEIR_FIELD(PoolRecord, base), kIdentity, "", "address of its memory, which its slab file has too"},
    Field{WEIR_FIELD(PoolRecord, name), kText, "", "name of the pool"},
    Field{WEIR_FIELD(PoolRecord, unlisted), kGauge, "", "loans out for which the borrows had no room"},
};

inline constexpr std::array kArena{
    Field{WEIR_FIELD(ArenaRecord, live), kIdentity, "", "1: the arena is there"},
    Field{WEIR_FIELD(ArenaRecord, pool), kIdentity, "", "index of its pool"},
    Field{WEIR_FIELD(ArenaRecord, node), kIdentity, "", "the system's number of its NUMA node"},
    Field{WEIR_FIELD(ArenaRecord, base), kIdentity, "", "address"},
    Field{WEIR_FIELD(ArenaRecord, bytes), kGauge, "bytes", "memory that is mapped"},
    Field{WEIR_FIELD(ArenaRecord, page_bytes), kIdentity, "bytes", "size of its pages"},
    Field{WEIR_FIELD(ArenaRecord, huge_tlb), kIdentity, "", "1: its pages are reserved huge pages"},
    Field{WEIR_FIELD(ArenaRecord, populated), kIdentity, "", "1: all of it was given memory at the start"},
    Field{WEIR_FIELD(ArenaRecord, locked), kIdentity, "", "1: it cannot be swapped out"},
    Field{WEIR_FIELD(ArenaRecord, bound), kIdentity, "", "1: all of it is of its node"},
    Field{WEIR_FIELD(ArenaRecord, reason), kText, "", "why it is less than what was asked for"},
};

inline constexpr std::array kLane{
    Field{WEIR_FIELD(LaneRecord, bytes), kIdentity, "bytes", "size of a buffer"},
    Field{WEIR_FIELD(LaneRecord, alignment), kIdentity, "bytes", "alignment of a buffer"},
    Field{WEIR_FIELD(LaneRecord, stride), kIdentity, "bytes", "from one buffer to the next"},
    Field{WEIR_FIELD(LaneRecord, slab_bytes), kIdentity, "bytes", "memory that is cut into buffers at once"},
    Field{WEIR_FIELD(LaneRecord, capacity), kGauge, "", "buffers cut so far"},
    Field{WEIR_FIELD(LaneRecord, free), kGauge, "", "buffers in the depot"},
    Field{WEIR_FIELD(LaneRecord, high_water), kGauge, "", "most buffers ever out of the depot"},
    Field{WEIR_FIELD(LaneRecord, refills), kCounter, "", "batches of buffers from a depot to a thread's magazine"},
    Field{WEIR_FIELD(LaneRecord, flushes), kCounter, "", "batches of buffers from a thread's magazine to a depot"},
    Field{WEIR_FIELD(LaneRecord, lends), kCounter, "",
          "lends without a magazine, and those of threads and rings that have ended"},
    Field{WEIR_FIELD(LaneRecord, drops), kCounter, "", "drops of the same"},
    Field{WEIR_FIELD(LaneRecord, requested), kGauge, "",
          "buffers with the kernel in requests, of the same; may be below 0: sums are modulo 2^64"},
    Field{WEIR_FIELD(LaneRecord, empty), kCounter, "", "lends that found no buffer"},
    Field{WEIR_FIELD(LaneRecord, magazine_lends), kCounter, "",
          "of those lends, from magazines of threads that have ended"},
    Field{WEIR_FIELD(LaneRecord, ring_lends), kCounter, "", "of those lends, claimed from rings that have ended"},
};

inline constexpr std::array kRing{
    Field{WEIR_FIELD(RingRecord, live), kIdentity, "", "1: the ring is there"},
    Field{WEIR_FIELD(RingRecord, lane), kIdentity, "", "index of its buffers' lane"},
    Field{WEIR_FIELD(RingRecord, entries), kGauge, "", "slots for buffers that are ready for the kernel"},
    Field{WEIR_FIELD(RingRecord, group), kIdentity, "", "the kernel's number of the buffer group"},
    Field{WEIR_FIELD(RingRecord, filled), kGauge, "", "slots that have a buffer"},
    Field{WEIR_FIELD(RingRecord, provided), kCounter, "", "buffers given to the ring"},
    Field{WEIR_FIELD(RingRecord, claimed), kCounter, "", "buffers taken from the ring, with data or without"},
};

inline constexpr std::array kReceiver{
    Field{WEIR_FIELD(ReceiverRecord, live), kIdentity, "",
          "1: the receiver is there; else what it counted is, as long as thread is not 0"},
    Field{WEIR_FIELD(ReceiverRecord, pool), kIdentity, "", "index of its pool"},
    Field{WEIR_FIELD(ReceiverRecord, thread), kIdentity, "", "thread that made it"},
    Field{WEIR_FIELD(ReceiverRecord, strategy), kIdentity, "", "weir::Strategy of connections that name none"},
    Field{WEIR_FIELD(ReceiverRecord, asked), kIdentity, "", "the weir::Strategy that the options name"},
    Field{WEIR_FIELD(ReceiverRecord, connections), kGauge, "", "connections"},
    Field{WEIR_FIELD(ReceiverRecord, parked), kGauge, "", "connections that have data and wait for a buffer"},
    Field{WEIR_FIELD(ReceiverRecord, idle), kGauge, "", "connections that wait for data by poll, without a buffer"},
    Field{WEIR_FIELD(ReceiverRecord, receives), kCounter, "", "pieces of data that were delivered"},
    Field{WEIR_FIELD(ReceiverRecord, bytes), kCounter, "bytes", "data that was delivered"},
    Field{WEIR_FIELD(ReceiverRecord, enobufs), kCounter, "", "receives that found their buffer ring empty"},
    Field{WEIR_FIELD(ReceiverRecord, wakes), kCounter, "", "parked receives that got a buffer"},
    Field{WEIR_FIELD(ReceiverRecord, cancels), kCounter, "", "requests cancelled, for whatever reason"},
    Field{WEIR_FIELD(ReceiverRecord, reclaimed), kCounter, "", "receives cancelled because no data came for WEIR_IDLE"},
};

inline constexpr std::array kThread{
    Field{WEIR_FIELD(ThreadRecord, id), kIdentity, "", "the kernel's number of the thread; 0: there is none"},
    Field{WEIR_FIELD(ThreadRecord, lanes), kIdentity, "",
          "bit i % 64 of word i / 64: its magazine of lane i is in use"},
};

inline constexpr std::array kBorrowUse{
    Field{{"used", "u64", 0, 8, 1}, kGauge, "", "so many of the borrows have been in use, from the first"},
};

inline constexpr std::array kBorrow{
    Field{WEIR_FIELD(BorrowRecord, buffer), kIdentity, "", "address of the buffer; 0: free, or being written"},
    Field{WEIR_FIELD(BorrowRecord, since), kIdentity, "", "nanoseconds of CLOCK_MONOTONIC when it was lent"},
    Field{WEIR_FIELD(BorrowRecord, pool), kIdentity, "", "index of its pool"},
    Field{WEIR_FIELD(BorrowRecord, bytes), kIdentity, "bytes", "size of the buffer"},
    Field{WEIR_FIELD(BorrowRecord, thread), kIdentity, "", "the kernel's number of the thread that lent it"},
    Field{WEIR_FIELD(BorrowRecord, depth), kIdentity, "", "addresses in the stack"},
    Field{WEIR_FIELD(BorrowRecord, tag), kText, "", "what the borrower calls itself"},
    Field{WEIR_FIELD(BorrowRecord, stack), kIdentity, "", "where it was lent, the innermost call first"},
};

inline constexpr std::array kMagazine{
    Field{{"cached", "u64", offsetof(Magazine, state), 8, 1}, kGauge, "", "buffers in it", 0, 8},
    Field{{"lends", "u64", offsetof(Magazine, state), 8, 1}, kCounter, "", "lends from it", 8, 56},
    Field{WEIR_FIELD(Magazine, capacity), kGauge, "", "most buffers that it takes now"},
    Field{WEIR_FIELD(Magazine, lane), kIdentity, "bytes", "offset of the magazine in those of its thread"},
    Field{WEIR_FIELD(Magazine, bytes), kIdentity, "bytes", "size of a buffer"},
    Field{WEIR_FIELD(Magazine, from_depot), kGauge, "",
          "buffers that came from the depot, less those that went there: modulo 2^64"},
    Field{WEIR_FIELD(Magazine, limit), kGauge, "", "most buffers that it takes while nobody waits for memory"},
    Field{WEIR_FIELD(Magazine, seen), kIdentity, "",
          "lends or drops when its thread came by the depot last: modulo 2^32"},
    Field{WEIR_FIELD(Magazine, requested), kGauge, "",
          "buffers that its thread submitted, less those that came back to it: modulo 2^64"},
    Field{WEIR_FIELD(Magazine, buffers), kIdentity, "", "addresses of the buffers in it, the newest last"},
};

inline constexpr std::array kRecent{
    Field{{"buffers", "u64", 0, 8, kMaxRecent}, kIdentity, "", "addresses, of as many as are free and in no slab"},
};

inline constexpr std::array kRingBuffers{
    Field{{"buffers", "u64", 0, 8, kMaxRingEntries}, kIdentity, "", "addresses by buffer id; 0: the slot is empty"},
};

#undef WEIR_FIELD

}  // namespace fields

inline constexpr std::array kRecordKinds{
    RecordKind{"header", 0, sizeof(SegmentHeader), 1, "what the file is", fields::kHeader},
    RecordKind{"pool", offsetof(Segment, pools), sizeof(PoolRecord), kMaxPools, "a pool", fields::kPool},
    RecordKind{"arena", offsetof(Segment, arenas), sizeof(ArenaRecord), kMaxArenas, "a mapping of memory and its grade",
               fields::kArena},
    RecordKind{"lane", offsetof(Segment, lanes), sizeof(LaneRecord), kLanes,
               "a size class of a pool on a node: the lane 256 * node index + the pool's first_lane + class",
               fields::kLane},
    RecordKind{"ring", offsetof(Segment, rings), sizeof(RingRecord), kMaxRings, "a provided buffer ring",
               fields::kRing},
    RecordKind{"receiver", offsetof(Segment, receivers), sizeof(ReceiverRecord), kMaxReceivers, "a receiver",
               fields::kReceiver},
    RecordKind{"thread", offsetof(Segment, threads), sizeof(ThreadRecord), kMaxThreads, "a thread with magazines",
               fields::kThread},
    RecordKind{"borrow_use", offsetof(Segment, borrow_records), sizeof(Count), 1, "how far the borrows are used",
               fields::kBorrowUse},
    RecordKind{"borrow", offsetof(Segment, borrows), sizeof(BorrowRecord), kMaxBorrows,
               "a loan of a pool that traces (WEIR_TRACE)", fields::kBorrow},
    RecordKind{"magazine", offsetof(Segment, magazines), sizeof(Magazine), std::size_t{kMaxThreads} * kLanes,
               "a thread's free buffers of a lane: the magazine 2048 * thread index + lane", fields::kMagazine},
    RecordKind{"recent", offsetof(Segment, recent), sizeof(Segment::recent[0]), kLanes,
               "a lane's stack of free buffers that came home last", fields::kRecent},
    RecordKind{"ring_buffers", offsetof(Segment, ring_buffers), sizeof(Segment::ring_buffers[0]), kMaxRings,
               "the buffers that are in a ring", fields::kRingBuffers},
};

/// The field of that name. Of a name that is none, it does not compile.
consteval Field field_named(std::string_view record, std::string_view field) {
  for (const RecordKind& kind : kRecordKinds) {
    for (const Field& each : kind.fields) {
      if (kind.name == record && each.place.name == field) return each;
    }
  }
  throw "there is no such field";
}

/// Writes the table into a new segment.
void write_tables(Segment& segment);

}  // namespace weir::detail
