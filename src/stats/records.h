#pragma once

#include <weir/detail/magazine.h>

#include <array>
#include <atomic>
#include <cstdint>

// The statistics segment: one sealed memfd a process, which the `weir` tool copies and reads. It is also where the
// numbers live: nothing is counted twice. Writers store with relaxed order; a reader's copy is exact when quiescent.

namespace weir::detail {

inline constexpr std::array<char, 8> kSegmentMagic{'w', 'e', 'i', 'r', 's', 'e', 'g', '\0'};
inline constexpr std::uint32_t kSegmentVersion = 6;
inline constexpr std::uint32_t kMaxPools = 16;
inline constexpr std::uint32_t kMaxArenas = 128;
inline constexpr std::uint32_t kMaxRings = 512;
inline constexpr std::uint32_t kMaxReceivers = 256;
inline constexpr std::uint32_t kMaxThreads = 256;
inline constexpr std::uint32_t kMaxRecent = 4096;
inline constexpr std::uint32_t kMaxRingEntries = 32768;
inline constexpr std::uint32_t kMaxBorrows = 65536;
inline constexpr std::uint32_t kBorrowFrames = 12;
inline constexpr std::uint32_t kMaxRecordEntries = 16;
inline constexpr std::uint32_t kMaxFieldEntries = 128;

/// A kind of record: what stats/fields.h says of it, for readers that know the header alone.
struct RecordEntry {
  std::array<char, 24> name;
  std::uint64_t offset;  ///< of the first one in the file
  std::uint32_t stride;  ///< bytes from one to the next
  std::uint32_t count;
  std::uint32_t first_field;  ///< its fields' entries follow one another
  std::uint32_t field_count;
};

/// A field of a record. `value >> shift`, of which `bits` count.
struct FieldEntry {
  std::array<char, 24> name;
  std::array<char, 8> type;   ///< u8, u32, u64, i32; text ends at its first 0
  std::array<char, 16> kind;  ///< identity, text, gauge or counter
  std::array<char, 16> unit;  ///< empty where it counts what its name says
  std::uint32_t offset;       ///< in the record
  std::uint32_t bytes;        ///< of one value
  std::uint32_t count;        ///< values one behind the other
  std::uint32_t shift;
  std::uint32_t bits;
  std::array<char, 108> meaning;
};

/// Where the entries lie in the file.
struct TablesPlace {
  std::uint64_t records_at;
  std::uint64_t fields_at;
  std::uint32_t record_stride;
  std::uint32_t record_count;
  std::uint32_t field_stride;
  std::uint32_t field_count;
};

struct SegmentHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t process_id;
  std::uint64_t file_bytes;
  TablesPlace tables;
  std::uint32_t node_count;
  std::array<std::int32_t, kMaxNodes> nodes;  ///< the system's number of each node index
  std::array<char, 64> program;
};

/// When its pool has ended, it keeps its lanes, whose counters a pool of that name and those classes goes on with: what
/// was counted stays, as long as there is room for it.
struct PoolRecord {
  std::atomic<std::uint32_t> live;
  std::uint32_t first_lane;  ///< in each node's lanes, the lane of the smallest class
  std::uint32_t class_count;
  std::uint32_t traces;  ///< 1: its loans are among the borrows
  std::uint64_t base;    ///< address of its memory, by which its slab file is known
  std::array<char, 32> name;
  Count unlisted;  ///< loans out for which there was no room there

  void end();
};

struct ArenaRecord {
  std::atomic<std::uint32_t> live;
  std::uint32_t pool;
  std::int32_t node;
  std::uint64_t base;  ///< address
  std::uint64_t bytes;
  std::uint64_t page_bytes;
  std::uint8_t huge_tlb, populated, locked, bound;
  std::array<char, 320> reason;
};

/// A size class of a pool on one node. Its counters stay when the pool has ended, as long as the pool's record does.
struct alignas(64) LaneRecord {
  std::uint32_t bytes;
  std::uint32_t alignment;
  std::uint32_t stride;
  std::uint32_t slab_bytes;
  Count capacity;
  Count free;
  Count high_water;      ///< most buffers ever out of the depot
  Count refills;         ///< batches from the depot to a magazine
  Count flushes;         ///< batches back
  Count lends;           ///< those without a magazine, and those of threads and rings that have ended
  Count drops;           ///< the same
  Count requested;       ///< buffers with the kernel in requests, counted by those threads
  Count empty;           ///< lends that found no buffer
  Count magazine_lends;  ///< of `lends`, those from magazines of threads that have ended
  Count ring_lends;      ///< of `lends`, those that rings claimed that have ended

  void end();
};

struct RingRecord {
  std::atomic<std::uint32_t> live;
  std::uint32_t lane;  ///< index
  std::uint32_t entries;
  std::uint32_t group;
  Count filled;    ///< slots with a buffer
  Count provided;  ///< user -> ring, so far
  Count claimed;   ///< ring -> user; a withdrawn buffer is claimed and dropped
};

/// When its receiver has ended, its counters stay, and a receiver of the same pool, thread and strategy goes on with
/// them.
struct ReceiverRecord {
  std::atomic<std::uint32_t> live;
  std::uint32_t pool;
  std::uint32_t thread;
  std::uint32_t strategy;  ///< a weir::Strategy
  std::uint32_t asked;     ///< the one that the options name, maybe automatic
  Count connections;
  Count parked;
  Count idle;      ///< they wait by poll, without a buffer
  Count receives;  ///< pieces of data delivered
  Count bytes;
  Count enobufs;
  Count wakes;  ///< parked receives armed again
  Count cancels;
  Count reclaimed;  ///< receives cancelled for their silence

  void end();
};

struct ThreadRecord {
  std::atomic<std::uint32_t> id;         ///< 0: the slot is free
  std::array<Count, kLanes / 64> lanes;  ///< bit set: the magazine of that lane is in use
};

/// A loan of a pool that traces, and who has it.
struct BorrowRecord {
  Count buffer;         ///< its address; 0: the record is free, or being written
  std::uint64_t since;  ///< nanoseconds of CLOCK_MONOTONIC
  std::uint32_t pool;   ///< index
  std::uint32_t bytes;  ///< of the buffer
  std::uint32_t thread;
  std::uint32_t depth;  ///< addresses in `stack`
  std::array<char, 24> tag;
  std::array<std::uint64_t, kBorrowFrames> stack;  ///< where it was lent, the innermost call first
};

struct Segment {
  SegmentHeader header;
  std::array<RecordEntry, kMaxRecordEntries> record_entries;
  std::array<FieldEntry, kMaxFieldEntries> field_entries;
  std::array<PoolRecord, kMaxPools> pools;
  std::array<ArenaRecord, kMaxArenas> arenas;
  std::array<LaneRecord, kLanes> lanes;
  std::array<RingRecord, kMaxRings> rings;
  std::array<ReceiverRecord, kMaxReceivers> receivers;
  std::array<ThreadRecord, kMaxThreads> threads;
  Count borrow_records;  ///< so many of the borrows have been in use
  alignas(4096) std::array<BorrowRecord, kMaxBorrows> borrows;
  alignas(4096) std::array<std::array<Magazine, kLanes>, kMaxThreads> magazines;
  std::array<std::array<std::byte*, kMaxRecent>, kLanes> recent;  ///< by lane: see Depot
  std::array<std::array<std::byte*, kMaxRingEntries>, kMaxRings>
      ring_buffers;  ///< by buffer id: nullptr in an empty slot
};

}  // namespace weir::detail
