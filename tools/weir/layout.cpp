#include "layout.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <map>
#include <optional>

#include "stats/counts.h"
#include "text.h"

namespace weir::tool {
namespace {

using namespace detail;  // the segment's words

using Share = std::uint64_t Shares::*;
using Lanes = std::bitset<kLanes>;

/// More chunks than this, 1 TiB, are not looked at: a hostile file says anything.
constexpr std::uint64_t kMostChunks = 1 << 24;

constexpr int kMostOrder = std::countr_zero(kMostSlab / kLeastSlab);

/// Of a chunk that a slab or a free block starts at; of any other, 1.
std::uint64_t size_in_chunks(const Slab& slab, std::uint64_t most) {
  const std::uint64_t size = slab.order <= kMostOrder ? std::uint64_t{1} << slab.order : 1;
  return std::min(size, most);
}

bool is_slab_of(const Segment& segment, const PoolRecord& pool, const Slab& slab, std::uint64_t bytes) {
  if (slab.state != Slab::State::cut || !has_lane(segment, pool, slab.lane)) return false;
  const LaneRecord& lane = segment.lanes[slab.lane];
  return lane.stride != 0 && lane.stride <= bytes && lane.slab_bytes == bytes;
}

Cell slab_cell(const LaneRecord& lane, const Slab& slab, std::uint64_t bytes) {
  const std::uint64_t buffers = bytes / lane.stride;
  Cell cell{.kind = Cell::Kind::slab, .address = 0, .bytes = bytes, .lane = slab.lane, .size_class = 0, .shares = {}};
  cell.shares.free = std::min<std::uint64_t>(slab.free_count, buffers);
  cell.shares.lent = buffers - cell.shares.free;
  return cell;
}

/// Joins it with the one before where both are of the same memory that no class has.
void append(std::vector<Cell>& cells, const Cell& cell) {
  if (!cells.empty() && cells.back().kind == cell.kind && cell.kind != Cell::Kind::slab) {
    cells.back().bytes += cell.bytes;
  } else {
    cells.push_back(cell);
  }
}

std::vector<Cell> cells_of(const Segment& segment, const PoolRecord& pool, const std::vector<Slab>& slabs,
                           std::uint64_t address) {
  std::vector<Cell> cells;
  for (std::uint64_t i = 0; i < slabs.size();) {
    const Slab& slab = slabs[i];
    std::uint64_t size = size_in_chunks(slab, slabs.size() - i);
    Cell cell;
    if (is_slab_of(segment, pool, slab, size * kChunkBytes)) {
      cell = slab_cell(segment.lanes[slab.lane], slab, size * kChunkBytes);
    } else if (slab.state != Slab::State::free_block) {
      cell.kind = Cell::Kind::entries;
      size = 1;
    }
    cell.address = address + i * kChunkBytes;
    cell.bytes = size * kChunkBytes;
    append(cells, cell);
    i += size;
  }
  return cells;
}

/// The pool's arenas that lie whole in its memory and beside each other, without cells yet.
std::vector<ArenaLayout> arenas_of(const Segment& segment, std::uint32_t pool, const SlabFile& file) {
  std::vector<ArenaLayout> arenas;
  for (const ArenaRecord& arena : segment.arenas) {
    const std::uint64_t from = arena.base - file.base();
    const std::uint64_t all = file.chunks() * kChunkBytes;
    const bool inside = from % kChunkBytes == 0 && from < all && arena.bytes > 0 && arena.bytes <= all - from;
    if (arena.live != 0 && arena.pool == pool && inside)
      arenas.push_back({.node = arena.node, .address = arena.base, .bytes = arena.bytes, .cells = {}});
  }
  std::sort(arenas.begin(), arenas.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  std::uint64_t end = 0;
  std::erase_if(arenas, [&](const ArenaLayout& arena) {
    const bool overlaps = arena.address - file.base() < end;
    if (!overlaps) end = arena.address - file.base() + arena.bytes;
    return overlaps;
  });
  return arenas;
}

/// The slab in which the address is; nullptr when there is none.
Cell* slab_at(PoolLayout& pool, std::uint64_t address) {
  const auto starts_after = [](std::uint64_t place, const auto& part) { return place < part.address; };
  const auto arena = std::upper_bound(pool.arenas.begin(), pool.arenas.end(), address, starts_after);
  if (arena == pool.arenas.begin()) return nullptr;
  std::vector<Cell>& cells = std::prev(arena)->cells;
  const auto cell = std::upper_bound(cells.begin(), cells.end(), address, starts_after);
  if (cell == cells.begin()) return nullptr;
  Cell& found = *std::prev(cell);
  return found.kind == Cell::Kind::slab && address - found.address < found.bytes ? &found : nullptr;
}

/// Builds one pool's layout: first all that is not in a slab counts as lent, then those are found who hold some of it.
class PoolSurvey {
 public:
  PoolSurvey(SegmentReader& reader, std::uint32_t pool, const SlabFile& file)
      : reader_(reader), record_(reader.segment().pools[pool]) {
    layout_.name = printable(record_.name);
    layout_.arenas = arenas_of(reader.segment(), pool, file);
    std::uint64_t left = kMostChunks;
    for (ArenaLayout& arena : layout_.arenas) {
      const std::uint64_t count = std::min(left, arena.bytes / kChunkBytes);
      left -= count;
      const std::vector<Slab> slabs = file.read((arena.address - file.base()) / kChunkBytes, count);
      arena.cells = cells_of(reader.segment(), record_, slabs, arena.address);
    }
    for_slabs([&](const Cell& cell) { in_slabs_[cell.lane] += cell.shares.free; });
  }

  /// `known` are the lanes that another pool had: only hostile pools share any.
  PoolLayout finish(Lanes& known) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      if (!has_lane(reader_.segment(), record_, lane) || known.test(lane)) continue;
      known.set(lane);
      reader_.read_lane(lane);
      if (reader_.segment().lanes[lane].capacity != 0) find_holders(lane);
    }
    add_classes();
    return std::move(layout_);
  }

 private:
  void find_holders(std::uint32_t lane) {
    const Segment& segment = reader_.segment();
    find(lane, &Shares::free, std::span(segment.recent[lane]).first(recent_count(lane)));
    for (std::uint32_t i = 0; i < kMaxRings; ++i) {
      const RingRecord& ring = segment.rings[i];
      if (ring.live == 0 || ring.lane != lane) continue;
      find(lane, &Shares::ring, std::span(segment.ring_buffers[i]).first(std::min(ring.entries, kMaxRingEntries)));
    }
    for (std::uint32_t i = 0; i < kMaxThreads; ++i) {
      const ThreadRecord& thread = segment.threads[i];
      if (thread.id == 0 || (thread.lanes[lane / 64] >> lane % 64 & 1) == 0) continue;
      const Magazine& magazine = segment.magazines[i][lane];
      find(lane, &Shares::cached,
           std::span(magazine.buffers).first(std::min<std::uint64_t>(magazine.count(), kMagazineSlots)));
    }
  }

  /// How many free buffers of the lane are in no slab, but on the stack of those that came home last.
  std::uint64_t recent_count(std::uint32_t lane) const {
    const std::uint64_t free = reader_.segment().lanes[lane].free;
    return std::min<std::uint64_t>(free - std::min(free, in_slabs_[lane]), kMaxRecent);
  }

  void find(std::uint32_t lane, Share holder, std::span<std::byte* const> part) {
    for (const std::uint64_t address : reader_.addresses(part)) {
      Cell* cell = slab_at(layout_, address);
      if (cell == nullptr || cell->lane != lane || cell->shares.lent == 0) continue;
      --cell->shares.lent;
      ++(cell->shares.*holder);
    }
  }

  void add_classes() {
    std::map<std::uint32_t, std::size_t> places;  // by the class's place in the pool
    for_slabs([&](Cell& cell) { places[class_of(cell)] = 0; });
    for (auto& [number, place] : places) {
      place = layout_.classes.size();
      layout_.classes.emplace_back();
    }
    for_slabs([&](Cell& cell) {
      cell.size_class = places[class_of(cell)];
      ClassLayout& total = layout_.classes[cell.size_class];
      total.bytes = reader_.segment().lanes[cell.lane].bytes;
      total.alignment = reader_.segment().lanes[cell.lane].alignment;
      ++total.slabs;
      total.shares += cell.shares;
    });
  }

  template <typename Visit>
  void for_slabs(Visit visit) {
    for (ArenaLayout& arena : layout_.arenas) {
      for (Cell& cell : arena.cells) {
        if (cell.kind == Cell::Kind::slab) visit(cell);
      }
    }
  }

  std::uint32_t class_of(const Cell& cell) const { return cell.lane % kLanesPerNode - record_.first_lane; }

  SegmentReader& reader_;
  const PoolRecord& record_;
  PoolLayout layout_;
  std::vector<std::uint64_t> in_slabs_ = std::vector<std::uint64_t>(kLanes);  ///< free buffers there, by lane
};

}  // namespace

Shares& Shares::operator+=(const Shares& other) {
  free += other.free;
  cached += other.cached;
  lent += other.lent;
  ring += other.ring;
  return *this;
}

Layout take_layout(SegmentReader& reader, std::span<const SlabFile> files) {
  reader.read_records();
  const Segment& segment = reader.segment();
  Layout layout{.pid = segment.header.process_id, .program = printable(segment.header.program), .pools = {}};
  Lanes known;
  for (std::uint32_t i = 0; i < kMaxPools; ++i) {
    if (!is_sound(segment.pools[i])) continue;
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const SlabFile& each) { return each.base() == segment.pools[i].base; });
    if (file != files.end()) layout.pools.push_back(PoolSurvey(reader, i, *file).finish(known));
  }
  return layout;
}

}  // namespace weir::tool
