#include "cache/threads.h"

#include <weir/error.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include "cache/cache_budget.h"
#include "os/memory.h"
#include "os/numa.h"
#include "os/process.h"
#include "os/thread.h"
#include "stats/segment.h"

namespace weir::detail {
namespace {

// A table of zeros for threads that have no magazines: reading it costs no memory, and nobody writes to it.
alignas(4096) constinit std::array<std::byte, kLaneTableBytes> no_magazines{};

/// The calling thread's lends and drops take the slow path from now on.
void detach_thread() noexcept {
  thread_lanes.base = no_magazines.data();
  thread_home_lanes.base = no_magazines.data();
}

/// So many threads have left their place. Who found none looks again only when this has changed, so that the threads
/// beyond the last place share no lock.
constinit std::atomic<std::uint64_t> places_left{0};

/// Set when the destructors of the thread's specific data may still drop loans, but it has no magazines any more.
constinit thread_local bool thread_ended = false;

std::uint32_t own_node() { return std::min(os::home_node_index(), segment().header.node_count - 1); }

std::byte* lanes_of_node(std::uint32_t node) {
  return thread_lanes.base + std::size_t{node} * kLanesPerNode * kMagazineBytes;
}

/// A thread's place in the segment, from its first slow lend or drop to its end. The places are in the order of the
/// segment's records, so that a thread's own memory, of which a library may have little, has no more than a pointer.
class ThreadPlace {
 public:
  ThreadRecord& record() const noexcept;
  std::array<Magazine, kLanes>& magazines() const noexcept;

  bool prepare() noexcept;
  void enter() noexcept;
  void leave() noexcept;
  Magazine* set_up(Depot& depot) noexcept;
  bool for_lanes(std::uint32_t first, std::uint32_t count, bool (*visit)(Magazine&, Depot&)) noexcept;
};

constinit std::array<ThreadPlace, kMaxThreads> places{};
constinit thread_local ThreadPlace* place = nullptr;
constinit thread_local std::uint64_t none_since = UINT64_MAX;  ///< what places_left was when there was no place

std::size_t index_of(const ThreadPlace& of) { return static_cast<std::size_t>(&of - places.data()); }

ThreadRecord& ThreadPlace::record() const noexcept { return segment().threads[index_of(*this)]; }

std::array<Magazine, kLanes>& ThreadPlace::magazines() const noexcept { return segment().magazines[index_of(*this)]; }

/// Its thread will look at any magazine of the nodes that there are: one that is not set up is zeros. False when
/// the kernel does not let it.
bool ThreadPlace::prepare() noexcept {
  const std::size_t lanes = std::size_t{segment().header.node_count} * kLanesPerNode;
  return os::allow(reinterpret_cast<std::byte*>(magazines().data()), lanes * sizeof(Magazine)) == 0;
}

void ThreadPlace::enter() noexcept {
  forget_budgets(index_of(*this));
  record().id.store(os::thread_id(), std::memory_order_release);
}

Magazine* ThreadPlace::set_up(Depot& depot) noexcept {
  Magazine& magazine = magazines()[depot.lane_index()];
  Count& word = record().lanes[depot.lane_index() / 64];
  const std::uint64_t bit = 1ULL << depot.lane_index() % 64;
  const bool known = (word.load(std::memory_order_relaxed) & bit) != 0;
  if (known && magazine.bytes != 0) return &magazine;
  if (os::populate_segment(&magazine, sizeof magazine) != 0) return nullptr;
  depot.adopt(magazine);
  word.fetch_or(bit, std::memory_order_release);
  return &magazine;
}

/// Visits the magazines that are in use, of so many lanes of each node. True when a visit was. A depot of other lanes
/// is not looked at: its pool may end meanwhile.
bool ThreadPlace::for_lanes(std::uint32_t first, std::uint32_t count, bool (*visit)(Magazine&, Depot&)) noexcept {
  bool any = false;
  for (std::uint32_t word = 0; word < record().lanes.size(); ++word) {
    for (std::uint64_t set = record().lanes[word].load(std::memory_order_relaxed); set != 0; set &= set - 1) {
      const std::uint32_t index = word * 64 + static_cast<std::uint32_t>(std::countr_zero(set));
      const std::uint32_t within_node = index % kLanesPerNode;
      if (within_node < first || within_node >= first + count) continue;
      Magazine& magazine = magazines()[index];
      Depot* depot = depot_of(index * kMagazineBytes);
      if (depot != nullptr && magazine.bytes != 0) any = visit(magazine, *depot) || any;
    }
  }
  return any;
}

/// REQUIRES: the registry's lock is taken, and the thread does not use its magazines meanwhile.
void ThreadPlace::leave() noexcept {
  for_lanes(0, kLanesPerNode, [](Magazine& magazine, Depot& depot) {
    depot.disown(magazine);
    return true;
  });
  for (Count& word : record().lanes) word.store(0, std::memory_order_relaxed);
  record().id.store(0, std::memory_order_release);
  places_left.fetch_add(1, std::memory_order_relaxed);
}

/// When a thread ends. Not by the destructor of a thread-local object: who uses a pool first in the destructor of
/// specific data comes too late for one, while the destructors of such data are called round by round.
void leave_place(void* own) noexcept {
  thread_ended = true;
  if (is_fork_child()) return;
  detach_thread();
  place = nullptr;
  const std::lock_guard lock(registry_mutex());
  static_cast<ThreadPlace*>(own)->leave();
}

os::ThreadEnd& thread_end() {
  static auto& end = *new os::ThreadEnd(leave_place);  // threads may use it until the process has ended
  return end;
}

/// When the library is unloaded, and at the end of the process.
[[gnu::destructor]] void give_up_thread_end() { thread_end().give_up(); }

ThreadPlace* find_free() noexcept {
  const auto free = std::find_if(places.begin(), places.end(), [](const ThreadPlace& each) {
    return each.record().id.load(std::memory_order_relaxed) == 0;
  });
  return free != places.end() ? &*free : nullptr;
}

/// Of threads that ended without the destructors of their specific data. The caller has no place: one of its number is
/// of a thread before it.
void leave_for_those_gone() noexcept {
  for (ThreadPlace& each : places) {
    const std::uint32_t id = each.record().id.load(std::memory_order_relaxed);
    if (id == os::thread_id() || !os::is_thread(id)) each.leave();
  }
}

bool take_place(bool first_look) noexcept {
  const std::lock_guard lock(registry_mutex());
  ThreadPlace* free = find_free();
  if (free == nullptr && first_look) {
    leave_for_those_gone();
    free = find_free();
  }
  if (free == nullptr || !free->prepare() || thread_end().call_with(free) != 0) return false;
  free->enter();
  place = free;
  thread_lanes.base = reinterpret_cast<std::byte*>(free->magazines().data());
  thread_home_lanes.base = lanes_of_node(own_node());
  return true;
}

bool has_place() noexcept {
  if (place != nullptr) return true;
  const std::uint64_t left = places_left.load(std::memory_order_relaxed);
  if (none_since == left) return false;
  const bool found = take_place(none_since == UINT64_MAX);
  if (!found) none_since = left;
  return found;
}

/// True when there was something in it.
bool empty_magazine(Magazine& magazine, Depot& depot) {
  const bool any = magazine.count() > 0;
  depot.empty(magazine);
  return any;
}

}  // namespace

constinit thread_local LaneTable thread_lanes{no_magazines.data()};
constinit thread_local LaneTable thread_home_lanes{no_magazines.data()};

Magazine* own_magazine(Depot& depot) noexcept { return !thread_ended && has_place() ? place->set_up(depot) : nullptr; }

bool flush_own_magazines(std::uint32_t first_lane, std::uint32_t count) noexcept {
  if (place == nullptr || is_fork_child()) return false;
  return place->for_lanes(first_lane, count, empty_magazine);
}

std::uint32_t rehome_thread() noexcept {
  const std::uint32_t node = own_node();
  if (thread_lanes.base == no_magazines.data() || thread_home_lanes.base == lanes_of_node(node)) return node;
  thread_home_lanes.base = lanes_of_node(node);
  const std::lock_guard lock(registry_mutex());  // a pool that ends meanwhile would take its depots away
  place->for_lanes(0, kLanesPerNode, empty_magazine);
  return node;
}

void prepare_threads() {
  static constinit bool prepared = false;
  const std::lock_guard lock(registry_mutex());
  if (prepared) return;
  const int error = os::on_fork(detach_thread);
  if (error != 0) throw Error(-error, "no memory to note what a child of fork must not use: free memory");
  os::make_zeros(no_magazines.data(), no_magazines.size());
  prepared = true;
}

}  // namespace weir::detail
