#include "core/threads.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "core/magazines.h"
#include "core/segment.h"
#include "os/numa.h"
#include "os/process.h"

namespace weir::detail {
namespace {

// A table of zeros for threads that have no magazines: reading it costs no memory, and nobody writes to it.
alignas(4096) constinit std::array<std::byte, kLaneTableBytes> no_magazines{};

/// So many threads have left their place. Who found none looks again only when this has changed, so that the threads
/// beyond the last place share no lock.
constinit std::atomic<std::uint64_t> places_left{0};

/// Set when the thread's other thread-local objects may still drop loans, but it has no magazines any more.
constinit thread_local bool thread_ended = false;

std::uint32_t own_node() { return std::min(os::home_node_index(), segment().header.node_count - 1); }

std::byte* lanes_of_node(std::uint32_t node) {
  return thread_lanes.base + std::size_t{node} * kLanesPerNode * kMagazineBytes;
}

/// A thread's place in the segment, from its first slow lend or drop to its end.
class ThreadPlace {
 public:
  ThreadPlace() = default;
  ThreadPlace(const ThreadPlace&) = delete;
  ThreadPlace& operator=(const ThreadPlace&) = delete;
  ~ThreadPlace() {
    if (record_ != nullptr && !is_fork_child()) leave();
    thread_ended = true;
  }

  bool has_magazines() const noexcept { return record_ != nullptr; }
  bool enter() noexcept;
  Magazine* set_up(Depot& depot) noexcept;
  void for_each(void (*visit)(Magazine&, Depot&)) noexcept;
  std::size_t& kept(const CacheBudget& budget) noexcept;

 private:
  void leave() noexcept;
  bool look_for_place() noexcept;

  /// Bytes of a pool that the magazines may have grown to hold.
  struct Kept {
    std::uint64_t serial = 0;
    std::size_t bytes = 0;
  };

  ThreadRecord* record_ = nullptr;
  std::array<Magazine, kLanes>* magazines_ = nullptr;
  std::array<Kept, kMaxPools> kept_{};
  std::uint64_t none_since_ = UINT64_MAX;  ///< what places_left was when there was no place
};

bool ThreadPlace::enter() noexcept {
  if (record_ != nullptr) return true;
  const std::uint64_t left = places_left.load(std::memory_order_relaxed);
  if (none_since_ == left) return false;
  const bool found = look_for_place();
  if (!found) none_since_ = left;
  return found;
}

bool ThreadPlace::look_for_place() noexcept {
  const std::lock_guard lock(registry_mutex());
  Segment& all = segment();
  const auto free = std::find_if(all.threads.begin(), all.threads.end(), [](const ThreadRecord& record) {
    return record.id.load(std::memory_order_relaxed) == 0;
  });
  if (free == all.threads.end()) return false;
  record_ = &*free;
  magazines_ = &all.magazines[static_cast<std::size_t>(free - all.threads.begin())];
  record_->id.store(os::thread_id(), std::memory_order_release);
  thread_lanes.base = reinterpret_cast<std::byte*>(magazines_->data());
  thread_home_lanes.base = lanes_of_node(own_node());
  return true;
}

Magazine* ThreadPlace::set_up(Depot& depot) noexcept {
  Magazine& magazine = (*magazines_)[depot.lane_index()];
  Count& word = record_->lanes[depot.lane_index() / 64];
  const std::uint64_t bit = 1ULL << depot.lane_index() % 64;
  const bool known = (word.load(std::memory_order_relaxed) & bit) != 0;
  if (known && magazine.bytes != 0) return &magazine;
  if (os::populate_segment(segment_file(), &magazine, sizeof magazine) != 0) return nullptr;
  depot.adopt(magazine);
  word.fetch_or(bit, std::memory_order_release);
  return &magazine;
}

void ThreadPlace::for_each(void (*visit)(Magazine&, Depot&)) noexcept {
  if (record_ == nullptr) return;
  for (std::uint32_t word = 0; word < record_->lanes.size(); ++word) {
    for (std::uint64_t set = record_->lanes[word].load(std::memory_order_relaxed); set != 0; set &= set - 1) {
      const std::uint32_t index = word * 64 + static_cast<std::uint32_t>(std::countr_zero(set));
      Magazine& magazine = (*magazines_)[index];
      Depot* depot = depot_of(index * kMagazineBytes);
      if (depot != nullptr && magazine.bytes != 0) visit(magazine, *depot);
    }
  }
}

/// Of an earlier pool with the same record, nothing is kept any more.
std::size_t& ThreadPlace::kept(const CacheBudget& budget) noexcept {
  Kept& kept = kept_.at(budget.pool);
  if (kept.serial != budget.serial) kept = {budget.serial, 0};
  return kept.bytes;
}

void ThreadPlace::leave() noexcept {
  const std::lock_guard lock(registry_mutex());
  for_each([](Magazine& magazine, Depot& depot) { depot.disown(magazine); });
  for (Count& word : record_->lanes) word.store(0, std::memory_order_relaxed);
  detach_thread();
  record_->id.store(0, std::memory_order_release);
  record_ = nullptr;
  places_left.fetch_add(1, std::memory_order_relaxed);
}

thread_local ThreadPlace place;

}  // namespace

constinit thread_local LaneTable thread_lanes{no_magazines.data()};
constinit thread_local LaneTable thread_home_lanes{no_magazines.data()};

Magazine* own_magazine(Depot& depot) noexcept { return !thread_ended && place.enter() ? place.set_up(depot) : nullptr; }

void flush_own_magazines() noexcept {
  if (thread_ended || !place.has_magazines() || is_fork_child()) return;
  const std::lock_guard lock(registry_mutex());  // a pool that ends meanwhile would take its depots away
  place.for_each([](Magazine& magazine, Depot& depot) { depot.empty(magazine); });
}

bool widen_own_cache(const CacheBudget& budget, std::size_t bytes) noexcept {
  std::size_t& kept = place.kept(budget);
  if (kept + bytes > budget.bytes) return false;
  kept += bytes;
  return true;
}

void narrow_own_cache(const CacheBudget& budget, std::size_t bytes) noexcept { place.kept(budget) -= bytes; }

std::uint32_t rehome_thread() noexcept {
  const std::uint32_t node = own_node();
  if (thread_lanes.base == no_magazines.data() || thread_home_lanes.base == lanes_of_node(node)) return node;
  thread_home_lanes.base = lanes_of_node(node);
  flush_own_magazines();
  return node;
}

void detach_thread() noexcept {
  thread_lanes.base = no_magazines.data();
  thread_home_lanes.base = no_magazines.data();
}

}  // namespace weir::detail
