#pragma once

#include <weir/options.h>

#include <cstddef>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "core/node_stock.h"
#include "core/segment.h"
#include "core/slab_map.h"

namespace weir::detail {

/// A pool's part of the address space on one node: the arenas mapped there so far, and what is free of them.
/// Thread safe.
class NodeMemory {
 public:
  /// Maps nothing yet. REQUIRES: the region is reserved, starts at a multiple of 2 MiB, and is the map's.
  NodeMemory(SlabMap& map, std::byte* region, std::size_t region_bytes, int node, std::uint32_t pool,
             const Options& options);
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// Maps one more arena, climbing the page ladder from the top again. Throws Error, with nothing changed.
  void grow(std::size_t bytes);
  /// Bytes that may still be mapped.
  std::size_t room() const;
  /// Unmaps arenas without a buffer in use, but keeps at least the first, and those that the kernel does not unmap.
  /// Returns how many bytes.
  std::size_t trim();

  NodeStock& stock() { return stock_; }
  std::size_t mapped_bytes() const;
  /// In the order of their addresses.
  std::vector<Arena> arenas() const;

 private:
  struct Mapped {
    Arena arena;
    RecordHold<ArenaRecord> record;
  };
  using Place = std::vector<Mapped>::iterator;

  std::byte* find_gap(std::size_t bytes, std::size_t alignment, Place& before);
  ArenaRecord* publish(const Arena& arena) const;

  SlabMap& map_;
  NodeStock stock_;
  std::byte* const region_;
  const std::size_t region_bytes_;
  const int node_;
  const std::uint32_t pool_;
  const Options& options_;
  mutable std::mutex mutex_;
  std::vector<Mapped> arenas_;  ///< by address
};

}  // namespace weir::detail
