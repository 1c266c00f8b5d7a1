#include "core/node_memory.h"

#include <weir/detail/guard.h>
#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include "base/units.h"
#include "os/memory.h"

namespace weir::detail {

void UnmapArena::operator()(const Arena* arena) const {
  os::unmap_to_reserved(arena->base, arena->grade.bytes);
  delete arena;
}

NodeMemory::NodeMemory(SlabMap& map, std::byte* region, std::size_t region_bytes, int node, std::uint32_t pool,
                       const Options& options)
    : map_(map),
      stock_(map, map.granule_of(region), map.granule_of(region + region_bytes)),
      region_(region),
      region_bytes_(region_bytes),
      node_(node),
      pool_(pool),
      options_(options) {}

NodeMemory::~NodeMemory() {
  for (const Mapped& each : arenas_) guard_uncut(each.arena.base, each.arena.grade.bytes);
}

FreshArena NodeMemory::map(std::size_t bytes) {
  std::byte* const base = find_gap(bytes);
  const std::string what = base::format_size(bytes) + " more on node " + std::to_string(node_);
  if (base == nullptr)
    throw Error(ENOMEM,
                "no address space for " + what + ": the pool grew by too many small pieces; reserve more at once");
  FreshArena fresh(new Arena(map_arena(base, bytes, node_, options_)));
  if (map_.populate(base, bytes) != 0) throw Error(ENOMEM, "no memory for the metadata of " + what);
  return fresh;
}

void NodeMemory::add(FreshArena fresh) {
  const std::lock_guard lock(mutex_);
  const std::byte* const base = fresh->base;
  const auto after =
      std::find_if(arenas_.begin(), arenas_.end(), [&](const Mapped& each) { return each.arena.base > base; });
  RecordHold<ArenaRecord> record(publish(*fresh));
  const auto place = arenas_.insert(after, Mapped{*fresh, std::move(record), std::chrono::steady_clock::now()});
  delete fresh.release();
  stock_.add_memory(base, place->arena.grade.bytes);
}

/// The lowest place that fits between the arenas, nullptr when there is none.
std::byte* NodeMemory::find_gap(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  std::byte* free = region_;
  for (const Mapped& each : arenas_) {
    if (static_cast<std::size_t>(each.arena.base - free) >= bytes) return free;
    free = each.arena.base + base::round_up(each.arena.grade.bytes, base::kHugePage);
  }
  return bytes <= static_cast<std::size_t>(region_ + region_bytes_ - free) ? free : nullptr;
}

std::size_t NodeMemory::trim() {
  return unmap_those([](const Mapped&) { return true; });
}

std::size_t NodeMemory::decay(Time now, std::chrono::seconds age) {
  return unmap_those([&](Mapped& each) { return is_old(each, now, age); });
}

bool NodeMemory::is_old(Mapped& each, Time now, std::chrono::seconds age) {
  if (!each.leaving && !stock_.untouched(each.arena.base, each.arena.grade.bytes)) each.unused_since = now;
  return now - each.unused_since >= age;
}

/// Of all arenas but the first, those that may go and can. Returns how many bytes.
template <typename May>
std::size_t NodeMemory::unmap_those(May may) {
  const std::lock_guard lock(mutex_);
  std::size_t unmapped = 0;
  for (std::size_t i = arenas_.size(); i > 1; --i) {
    Mapped& each = arenas_[i - 1];
    if (each.pins > 0 || !may(each) || !unmap(each)) continue;
    unmapped += each.arena.grade.bytes;
    arenas_.erase(arenas_.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
  return unmapped;
}

/// False when some of it is in use. What the kernel refuses to take is lent no more, and taken another time.
bool NodeMemory::unmap(Mapped& each) {
  each.leaving = each.leaving || stock_.remove_memory(each.arena.base, each.arena.grade.bytes);
  return each.leaving && os::unmap_to_reserved(each.arena.base, each.arena.grade.bytes) == 0;
}

std::vector<Arena> NodeMemory::pin(const std::function<bool(const Arena&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::vector<Arena> pinned;
  for (Mapped& each : arenas_) {
    if (each.leaving || !wanted(each.arena)) continue;
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
