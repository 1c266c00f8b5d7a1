#include "core/slab_map.h"

#include <weir/error.h>

#include <cerrno>
#include <new>

#include "os/process.h"

namespace weir::detail {
namespace {

os::SegmentFile make_file(const std::byte* base, const SlabLayout& layout) {
  os::SegmentFile file;
  if (os::make_segment_file(os::kSlabFileName, layout.file_bytes(), file) == 0) {
    if (os::populate_segment(file, file.data, sizeof(SlabFileHeader)) == 0) {
      new (file.data) SlabFileHeader{.magic = kSlabFileMagic,
                                     .version = kSlabFileVersion,
                                     .process_id = os::process_id(),
                                     .file_bytes = layout.file_bytes(),
                                     .base = reinterpret_cast<std::uintptr_t>(base),
                                     .granules = layout.granules};
      return file;
    }
    os::remove_segment_file(file, layout.file_bytes());
  }
  throw Error(ENOMEM,
              "no file, address space or memory for a pool's metadata: lower WEIR_MAX_BYTES, or raise the limits with "
              "`ulimit -n 4096 -v unlimited -f unlimited`");
}

}  // namespace

SlabMap::SlabMap(std::byte* base, std::size_t bytes)
    : base_(base),
      bytes_(bytes),
      layout_{bytes / kGranule},
      file_(make_file(base, layout_)),
      bits_(reinterpret_cast<std::uint64_t*>(file_.data + SlabLayout::kBits)),
      slabs_(reinterpret_cast<Slab*>(file_.data + layout_.slabs())) {}

SlabMap::~SlabMap() { os::remove_segment_file(file_, layout_.file_bytes()); }

int SlabMap::populate(const std::byte* from, std::size_t bytes) {
  const std::uint32_t first = granule_of(from);
  const std::size_t count = bytes / kGranule;
  const int error = os::populate_segment(file_, bits(first), count * SlabLayout::kBitBytes);
  return error != 0 ? error : os::populate_segment(file_, slabs_ + first, count * sizeof(Slab));
}

void SlabList::push(std::uint32_t granule) {
  SlabMap& map = *map_;
  map[granule].next = first_;
  map[granule].previous = kNoGranule;
  if (first_ != kNoGranule) map[first_].previous = granule;
  first_ = granule;
}

void SlabList::remove(std::uint32_t granule) {
  SlabMap& map = *map_;
  const Slab& slab = map[granule];
  if (slab.previous == kNoGranule) {
    first_ = slab.next;
  } else {
    map[slab.previous].next = slab.next;
  }
  if (slab.next != kNoGranule) map[slab.next].previous = slab.previous;
}

}  // namespace weir::detail
