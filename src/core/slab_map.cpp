#include "core/slab_map.h"

#include <weir/error.h>

#include <cerrno>

#include "os/memory.h"

namespace weir::detail {
namespace {

constexpr std::size_t kBitBytes = kGranule / 64 / 8;

std::size_t pages_for(std::size_t bytes) { return base::round_up(bytes, base::kSmallPage); }

/// Zeros that get memory as they are populated.
std::byte* map_zeros(std::size_t bytes) {
  std::byte* table = os::reserve(pages_for(bytes), base::kSmallPage);
  if (table != nullptr && os::map_at(table, pages_for(bytes), os::PageKind::small) == 0 &&
      os::exclude_from_fork(table, pages_for(bytes)) == 0) {
    return table;
  }
  if (table != nullptr) os::release(table, pages_for(bytes));
  throw Error(ENOMEM, "no address space for a pool's metadata: lower WEIR_MAX_BYTES, or `ulimit -v unlimited`");
}

int populate_pages(std::byte* table, std::size_t from, std::size_t bytes) {
  const std::size_t first = from / base::kSmallPage * base::kSmallPage;
  const int error = os::populate(table + first, pages_for(from + bytes) - first);
  return error == -EINVAL ? 0 : error;  // before Linux 5.14 they come at the first touch
}

}  // namespace

SlabMap::SlabMap(std::byte* base, std::size_t bytes)
    : base_(base),
      bytes_(bytes),
      table_(map_zeros(bytes / kGranule * (sizeof(Slab) + kBitBytes))),
      bits_(reinterpret_cast<std::uint64_t*>(table_)),
      slabs_(reinterpret_cast<Slab*>(table_ + bytes / kGranule * kBitBytes)) {}

SlabMap::~SlabMap() { os::release(table_, pages_for(bytes_ / kGranule * (sizeof(Slab) + kBitBytes))); }

int SlabMap::populate(const std::byte* from, std::size_t bytes) {
  const std::size_t first = granule_of(from);
  const std::size_t count = bytes / kGranule;
  const int error = populate_pages(table_, first * kBitBytes, count * kBitBytes);
  if (error != 0) return error;
  return populate_pages(table_, granules() * kBitBytes + first * sizeof(Slab), count * sizeof(Slab));
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
