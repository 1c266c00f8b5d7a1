#include "memory/slab_map.h"

#include <algorithm>
#include <new>

#include "os/process.h"
#include "stats/segment.h"

namespace weir::detail {
namespace {

os::SegmentFile make_file(const std::byte* base, const SlabLayout& layout) {
  os::SegmentFile file;
  int error = os::make_segment_file(os::kSlabFileName, layout.file_bytes(), file);
  if (error == 0) {
    error = os::populate_segment(file.data, sizeof(SlabFileHeader));
    if (error != 0) os::remove_segment_file(file, layout.file_bytes());
  }
  if (error != 0) refuse_memory_file("the file of a pool's metadata, which is smaller with less WEIR_MAX_BYTES", error);
  new (file.data) SlabFileHeader{.magic = kSlabFileMagic,
                                 .version = kSlabFileVersion,
                                 .process_id = os::process_id(),
                                 .file_bytes = layout.file_bytes(),
                                 .base = reinterpret_cast<std::uintptr_t>(base),
                                 .chunks = layout.chunks};
  return file;
}

/// Blocks of the largest slab: the neighbours that a block of memory may be joined with are in the same.
std::size_t blocks_of(std::size_t bytes) { return (bytes + kMostSlab - 1) / kMostSlab; }

}  // namespace

SlabMap::SlabMap(std::byte* base, std::size_t bytes)
    : base_(base),
      bytes_(bytes),
      layout_{bytes / kChunkBytes},
      file_(make_file(base, layout_)),
      known_(blocks_of(bytes)),
      bits_(reinterpret_cast<std::uint64_t*>(file_.data + SlabLayout::kBits)),
      slabs_(reinterpret_cast<Slab*>(file_.data + layout_.slabs())) {}

SlabMap::~SlabMap() { os::remove_segment_file(file_, layout_.file_bytes()); }

int SlabMap::populate(const std::byte* from, std::size_t bytes) {
  const std::size_t first_block = static_cast<std::size_t>(from - base_) / kMostSlab;
  const std::size_t end_block = blocks_of(static_cast<std::size_t>(from - base_) + bytes);
  const std::size_t first = first_block * kChunksPerBlock;
  const std::size_t count = std::min<std::size_t>(end_block * kChunksPerBlock, chunks()) - first;
  int error = os::populate_segment(bits(static_cast<std::uint32_t>(first)), count * SlabLayout::kBitBytes);
  if (error == 0) error = os::populate_segment(slabs_ + first, count * sizeof(Slab));
  if (error != 0) return error;
  for (std::size_t block = first_block; block < end_block; ++block)
    known_[block].store(true, std::memory_order_release);
  return 0;
}

bool SlabMap::contains(const std::byte* address) const {
  if (address < base_ || address >= base_ + bytes_) return false;
  return known_[static_cast<std::size_t>(address - base_) / kMostSlab].load(std::memory_order_acquire);
}

void SlabList::push(std::uint32_t chunk) {
  SlabMap& map = *map_;
  map[chunk].next = first_;
  map[chunk].previous = kNoChunk;
  if (first_ != kNoChunk) map[first_].previous = chunk;
  first_ = chunk;
}

void SlabList::remove(std::uint32_t chunk) {
  SlabMap& map = *map_;
  const Slab& slab = map[chunk];
  if (slab.previous == kNoChunk) {
    first_ = slab.next;
  } else {
    map[slab.previous].next = slab.next;
  }
  if (slab.next != kNoChunk) map[slab.next].previous = slab.previous;
}

}  // namespace weir::detail
