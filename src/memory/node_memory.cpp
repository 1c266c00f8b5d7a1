#include "memory/node_memory.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

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

void UnmapArena::operator()(const Arena* arena) const {
  os::unmap_to_reserved(arena->base, arena->grade.bytes);
  delete arena;
}

NodeMemory::NodeMemory(SlabMap& map, std::byte* region, std::size_t region_bytes, int node, std::uint32_t pool,
                       const Options& options)
    : map_(map),
      blocks_(map, map.chunk_of(region), map.chunk_of(region + region_bytes)),
      region_(region),
      region_bytes_(region_bytes),
      node_(node),
      pool_(pool),
      options_(options) {}

FreshArena NodeMemory::map(std::size_t bytes) {
  std::byte* base = find_gap(bytes, wanted_alignment(bytes, options_));
  if (base == nullptr) base = find_gap(bytes, base::kHugePage);
  const std::string what = base::format_size(bytes) + " more on node " + std::to_string(node_);
  if (base == nullptr)
    throw Error(ENOMEM,
                "no address space for " + what + ": the pool grew by too many small pieces; reserve more at once");
  FreshArena fresh(new Arena(map_arena(base, bytes, node_, options_)));
  const int error = map_.populate(base, bytes);
  if (error != 0) throw Error(-error, "no memory for the metadata of " + what + ": " + std::strerror(-error));
  return fresh;
}

void NodeMemory::add(FreshArena fresh) {
  const std::lock_guard lock(mutex_);
  const std::byte* const base = fresh->base;
  const auto after =
      std::find_if(arenas_.begin(), arenas_.end(), [&](const Mapped& each) { return each.arena.base > base; });
  RecordHold<ArenaRecord> record(publish(*fresh));
  const std::size_t bytes = fresh->grade.bytes;
  arenas_.insert(after, Mapped{std::move(*fresh), std::move(record), os::now()});
  delete fresh.release();
  blocks_.add_memory(base, bytes);
}

/// The lowest place that fits between the arenas, nullptr when there is none.
std::byte* NodeMemory::find_gap(std::size_t bytes, std::size_t alignment) const {
  const std::lock_guard lock(mutex_);
  std::byte* free = region_;
  for (const Mapped& each : arenas_) {
    if (fits(free, each.arena.base, bytes, alignment)) return free + to_multiple(free, alignment);
    free = each.arena.base + base::round_up(each.arena.grade.bytes, base::kHugePage);
  }
  return fits(free, region_ + region_bytes_, bytes, alignment) ? free + to_multiple(free, alignment) : nullptr;
}

std::size_t NodeMemory::trim() {
  return unmap_those([](const Mapped&) { return true; });
}

std::size_t NodeMemory::decay(std::chrono::seconds age) {
  return unmap_those([&](Mapped& each) { return is_old(each, age); });
}

/// The clock is read after the look: what was in use at the look was not unused before it.
bool NodeMemory::is_old(Mapped& each, std::chrono::seconds age) {
  const bool untouched = blocks_.untouched(each.arena.base, each.arena.grade.bytes);
  const os::Time now = os::now();
  if (!untouched) each.unused_since = now;
  return now - each.unused_since >= age && blocks_.can_spare(each.arena.grade.bytes);
}

/// Of all arenas but the first, those that may go and can. Returns how many bytes.
template <typename May>
std::size_t NodeMemory::unmap_those(May may) {
  const std::lock_guard lock(mutex_);
  std::size_t unmapped = 0;
  for (std::size_t i = arenas_.size(); i > 1; --i) {
    Mapped& each = arenas_[i - 1];
    if (each.pins > 0 || !may(each) || !unmap(each.arena)) continue;
    unmapped += each.arena.grade.bytes;
    arenas_.erase(arenas_.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
  return unmapped;
}

/// False when some of it is in use, or the kernel does not take it: it stays the pool's.
bool NodeMemory::unmap(const Arena& arena) {
  if (!blocks_.remove_memory(arena.base, arena.grade.bytes)) return false;
  if (os::unmap_to_reserved(arena.base, arena.grade.bytes) == 0) return true;
  blocks_.add_memory(arena.base, arena.grade.bytes);
  return false;
}

std::vector<Arena> NodeMemory::pin(const std::function<bool(const Arena&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::vector<Arena> pinned;
  for (Mapped& each : arenas_) {
    if (!wanted(each.arena)) continue;
    pinned.push_back(each.arena);
    ++each.pins;
  }
  return pinned;
}

void NodeMemory::unpin(const std::byte* base) {
  const std::lock_guard lock(mutex_);
  for (Mapped& each : arenas_) {
    if (each.arena.base == base) --each.pins;
  }
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
  record->base = reinterpret_cast<std::uintptr_t>(arena.base);
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
