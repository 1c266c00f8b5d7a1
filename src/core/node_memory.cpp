#include "core/node_memory.h"

#include <weir/detail/guard.h>
#include <weir/error.h>

#include <cerrno>
#include <numeric>

#include "base/units.h"
#include "os/memory.h"

namespace weir::detail {
namespace {

/// Only who asks for 1 GiB pages gives up address space for them.
std::size_t wanted_alignment(std::size_t bytes, const Options& options) {
  return options.pages == Pages::huge_1g && bytes % kGiantPage == 0 ? kGiantPage : base::kHugePage;
}

/// Bytes from the address to the next that is such a multiple.
std::size_t to_multiple(const std::byte* address, std::size_t alignment) {
  return -reinterpret_cast<std::uintptr_t>(address) & (alignment - 1);
}

bool fits(const std::byte* free, const std::byte* end, std::size_t bytes, std::size_t alignment) {
  return static_cast<std::size_t>(end - free) >= to_multiple(free, alignment) + bytes;
}

}  // namespace

NodeMemory::NodeMemory(SlabMap& map, std::byte* region, std::size_t region_bytes, int node, std::uint32_t pool,
                       const Options& options)
    : map_(map),
      stock_(map),
      region_(region),
      region_bytes_(region_bytes),
      node_(node),
      pool_(pool),
      options_(options) {}

NodeMemory::~NodeMemory() {
  for (const Mapped& each : arenas_) guard_uncut(each.arena.base, each.arena.grade.bytes);
}

void NodeMemory::grow(std::size_t bytes) {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  Place before;
  std::byte* base = find_gap(bytes, wanted_alignment(bytes, options_), before);
  if (base == nullptr) base = find_gap(bytes, base::kHugePage, before);
  const std::string what = base::format_size(bytes) + " more on node " + std::to_string(node_);
  if (base == nullptr)
    throw Error(ENOMEM, "no room for " + what + ": the pool's budget is spent; raise WEIR_MAX_BYTES");
  Arena arena = map_arena(base, bytes, node_, options_);
  if (map_.populate(base, bytes) != 0) {
    os::unmap_to_reserved(base, bytes);
    throw Error(ENOMEM, "no memory for the metadata of " + what);
  }
  arenas_.insert(before, Mapped{arena, RecordHold<ArenaRecord>(publish(arena))});
  stock_.add_memory(base, bytes);
}

/// The lowest place that fits between the arenas, nullptr when there is none; a new arena belongs at `before`.
std::byte* NodeMemory::find_gap(std::size_t bytes, std::size_t alignment, Place& before) {
  std::byte* free = region_;
  for (before = arenas_.begin(); before != arenas_.end(); ++before) {
    if (fits(free, before->arena.base, bytes, alignment)) break;
    free = before->arena.base + base::round_up(before->arena.grade.bytes, base::kHugePage);
  }
  const bool found = before != arenas_.end() || fits(free, region_ + region_bytes_, bytes, alignment);
  return found ? free + to_multiple(free, alignment) : nullptr;
}

std::size_t NodeMemory::room() const { return region_bytes_ - mapped_bytes(); }

std::size_t NodeMemory::trim() {
  const std::lock_guard lock(mutex_);
  std::size_t trimmed = 0;
  for (std::size_t i = arenas_.size(); i > 1; --i) {
    const Arena& arena = arenas_[i - 1].arena;
    if (!stock_.remove_memory(arena.base, arena.grade.bytes)) continue;
    if (os::unmap_to_reserved(arena.base, arena.grade.bytes) != 0) {
      stock_.add_memory(arena.base, arena.grade.bytes);
      continue;
    }
    trimmed += arena.grade.bytes;
    arenas_.erase(arenas_.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
  return trimmed;
}

std::size_t NodeMemory::mapped_bytes() const {
  const std::lock_guard lock(mutex_);
  return std::accumulate(arenas_.begin(), arenas_.end(), std::size_t{0},
                         [](std::size_t sum, const Mapped& each) { return sum + each.arena.grade.bytes; });
}

std::vector<Arena> NodeMemory::arenas() const {
  const std::lock_guard lock(mutex_);
  std::vector<Arena> arenas;
  for (const Mapped& each : arenas_) arenas.push_back(each.arena);
  return arenas;
}

/// The arena's record in the segment; nullptr when all 128 are taken, and it is not shown.
ArenaRecord* NodeMemory::publish(const Arena& arena) const {
  ArenaRecord* record = take_record(segment().arenas);
  if (record == nullptr) return nullptr;
  const Grade& grade = arena.grade;
  record->pool = pool_;
  record->node = grade.node;
  record->bytes = grade.bytes;
  record->page_bytes = grade.page_bytes;
  record->huge_tlb = grade.huge_tlb;
  record->populated = grade.populated;
  record->locked = grade.locked;
  record->bound = grade.bound;
  grade.reason.copy(record->reason.data(), record->reason.size() - 1);
  return record;
}

}  // namespace weir::detail
