#pragma once

#include <weir/pool.h>

#include <cstdint>
#include <string>
#include <vector>

#include "segment_reader.h"

namespace weir::tool {

/// Counts and what goes with them, of a class on a node, or added up.
struct Tally {
  Counts counts;
  bool settled = true;  ///< the law holds; false: buffers changed hands all the while they were counted
  std::uint64_t high_water = 0;
  std::uint64_t lends = 0;
  std::uint64_t magazine_lends = 0;  ///< of those, from threads' magazines
  std::uint64_t ring_lends = 0;      ///< of those, claimed from rings
  std::uint64_t empty = 0;           ///< lends that found no buffer
  std::uint64_t refills = 0;         ///< batches from the depot to a magazine
  std::uint64_t flushes = 0;         ///< batches back
  Tally& operator+=(const Tally& other);
};

struct ClassRow {
  std::uint32_t bytes = 0;
  std::uint32_t alignment = 0;
  std::uint64_t slab_bytes = 0;  ///< of the slabs that it has
  Tally tally;
  bool used() const {
    return tally.counts.capacity != 0 || tally.lends != 0 || tally.empty != 0 || tally.refills != 0 ||
           tally.flushes != 0;
  }
};

struct NodeRow {
  int node = 0;
  std::vector<ClassRow> classes;
  Tally tally() const;
};

struct RingRow {
  int node = 0;
  std::uint32_t buffer_bytes = 0;
  std::uint32_t group = 0;
  std::uint32_t entries = 0;
  std::uint64_t filled = 0;
};

struct PoolView {
  std::uint32_t slot = 0;  ///< which record of the segment's
  std::string name;
  std::vector<Grade> arenas;
  std::vector<NodeRow> nodes;
  std::vector<RingRow> rings;
  std::uint64_t mapped_bytes() const;
  std::uint64_t slab_bytes() const;
  std::uint64_t buffer_bytes() const;
  Tally tally() const;
};

struct ReceiverRow {
  std::uint32_t slot = 0;       ///< which record of the segment's
  std::uint32_t pool_slot = 0;  ///< of its pool
  std::string pool;
  std::uint32_t own_thread = 0;  ///< the number that the thread has for itself, by which the receiver is known
  std::uint32_t thread = 0;      ///< the number that it has here, as long as it lives
  std::string strategy;          ///< of connections that name none
  bool chosen = false;           ///< by the receiver, which was asked for `auto`
  std::uint64_t connections = 0;
  std::uint64_t parked = 0;
  std::uint64_t idle = 0;  ///< connections that wait without a buffer
  std::uint64_t receives = 0;
  std::uint64_t bytes = 0;
  std::uint64_t enobufs = 0;
  std::uint64_t wakes = 0;
  std::uint64_t cancels = 0;
  std::uint64_t reclaimed = 0;  ///< receives of silent connections that gave their buffer back
};

/// Connections of receivers: all, and of them those that wait without a buffer, for data or for a buffer.
struct Connections {
  std::uint64_t all = 0;
  std::uint64_t idle = 0;
  std::uint64_t parked = 0;
  Connections& operator+=(const Connections& other);
};
Connections connections_of(const std::vector<ReceiverRow>& receivers);

struct Snapshot {
  std::uint32_t pid = 0;
  std::string program;
  std::vector<PoolView> pools;
  std::vector<ReceiverRow> receivers;
  std::vector<PoolView> ended_pools{};  ///< of what has ended, for its counters, which no sum loses
  std::vector<ReceiverRow> ended_receivers{};
  Tally tally() const;
};

/// What the segment holds now. Counts move while they are copied, so a lane is read again, a bounded number
/// of times, until the law holds for it.
Snapshot take_snapshot(SegmentReader& reader);

}  // namespace weir::tool
