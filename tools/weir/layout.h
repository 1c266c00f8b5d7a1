#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "segment_reader.h"
#include "slab_file.h"

namespace weir::tool {

/// Who holds a slab's buffers; the law's words, but that users and requests are not told apart.
struct Shares {
  std::uint64_t free = 0;
  std::uint64_t cached = 0;
  std::uint64_t lent = 0;
  std::uint64_t ring = 0;
  std::uint64_t sum() const { return free + cached + lent + ring; }
  Shares& operator+=(const Shares& other);
};

/// A slab, or a stretch of memory that no class has.
struct Cell {
  enum class Kind { slab, free, entries };  ///< the last: those of buffer rings
  Kind kind = Kind::free;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint32_t lane = 0;      ///< as the next, of a slab
  std::size_t size_class = 0;  ///< index in the pool's
  Shares shares;
};

struct ArenaLayout {
  int node = 0;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::vector<Cell> cells;  ///< by address
};

/// A size class, and what its slabs have together.
struct ClassLayout {
  std::uint32_t bytes = 0;
  std::uint32_t alignment = 0;
  std::uint64_t slabs = 0;
  Shares shares;
};

struct PoolLayout {
  std::string name;
  std::vector<ClassLayout> classes;  ///< those with slabs, in the pool's order
  std::vector<ArenaLayout> arenas;   ///< by address
};

struct Layout {
  std::uint32_t pid = 0;
  std::string program;
  std::vector<PoolLayout> pools;  ///< those that have a slab file
};

/// What lies where in the pools' memory. Exact while nothing moves; else no buffer is counted twice, and one that
/// was on its way may be counted with whom it left or as lent.
Layout take_layout(SegmentReader& reader, std::span<const SlabFile> files);

}  // namespace weir::tool
