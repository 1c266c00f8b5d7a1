#pragma once

#include <weir/options.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "memory/arena.h"
#include "memory/buddy_blocks.h"
#include "memory/slab_map.h"
#include "os/clock.h"
#include "stats/segment.h"

namespace weir::detail {

/// An arena that nobody is lent any of yet; unmapped in the end, unless somebody keeps it.
struct UnmapArena {
  void operator()(const Arena* arena) const;
};
using FreshArena = std::unique_ptr<Arena, UnmapArena>;

/// A pool's part of the address space on one node: the arenas mapped there so far, and what is free of them.
/// Thread safe.
class NodeMemory {
 public:
  /// Maps nothing yet. REQUIRES: the region is reserved, starts at a multiple of 2 MiB, and is the map's.
  NodeMemory(SlabMap& map, std::byte* region, std::size_t region_bytes, int node, std::uint32_t pool,
             const Options& options);
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// Maps one more arena, climbing the page ladder from the top again. Throws Error, with nothing changed.
  /// REQUIRES: bytes is a multiple of kChunkBytes; one thread at a time maps and adds.
  FreshArena map(std::size_t bytes);
  void add(FreshArena fresh);

  /// Unmaps arenas that no part of is in use or pinned, but keeps at least the first. Returns how many bytes.
  std::size_t trim();
  /// The same, of those that every call for `age` has found untouched since the one before.
  std::size_t decay(std::chrono::seconds age);

  /// Pins the arenas that are `wanted`, and returns them: they are not unmapped until unpin() of each.
  std::vector<Arena> pin(const std::function<bool(const Arena&)>& wanted);
  void unpin(const std::byte* base);

  BuddyBlocks& blocks() { return blocks_; }
  /// The system's number.
  int node() const { return node_; }
  std::size_t mapped_bytes() const;
  /// In the order of their addresses.
  std::vector<Arena> arenas() const;

 private:
  struct Mapped {
    Arena arena;
    RecordHold<ArenaRecord> record;
    os::Time unused_since;
    unsigned pins = 0;
  };

  std::byte* find_gap(std::size_t bytes, std::size_t alignment) const;
  ArenaRecord* publish(const Arena& arena) const;
  bool is_old(Mapped& each, std::chrono::seconds age);
  bool unmap(const Arena& arena);
  template <typename May>
  std::size_t unmap_those(May may);

  SlabMap& map_;
  BuddyBlocks blocks_;
  std::byte* const region_;
  const std::size_t region_bytes_;
  const int node_;
  const std::uint32_t pool_;
  const Options& options_;
  mutable std::mutex mutex_;
  std::vector<Mapped> arenas_;  ///< by address
};

}  // namespace weir::detail
