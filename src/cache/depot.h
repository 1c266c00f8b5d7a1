#pragma once

#include <weir/detail/magazine.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "base/lock.h"
#include "cache/cache_budget.h"
#include "cache/loan_tracker.h"
#include "memory/size_classes.h"
#include "memory/slab_source.h"
#include "stats/segment.h"

namespace weir::detail {

/// Somebody who waits for a buffer of a lane. Owned by the waiting side.
struct Waiter {
  int event = -1;        ///< the eventfd that is signalled, once, when a buffer comes home
  bool waiting = false;  ///< guarded by the depot, as the next
  bool woken = false;    ///< for a buffer, and has not looked since
};

/// A node's free buffers of one size class, behind the threads' magazines: a short stack of those that came
/// home last, and the slabs. A slab that is whole again goes back to the node, but for one. Thread safe.
///
/// While it is starved (a take found nothing) or somebody of the node waits for memory, the threads' magazines are
/// closed: drops come by here, so that no buffer that is dropped hides from who needs it.
class Depot {
 public:
  /// A magazine grows up to `magazine_capacity` buffers, and within the budget, if there is one.
  /// `tracker` is told of each lend and drop that comes by; nullptr: nobody is.
  /// REQUIRES: with a tracker, the magazine capacity is 0, so that all of them do.
  Depot(SlabSource source, const SizeClass& size_class, std::uint32_t lane_index, std::uint32_t magazine_capacity,
        LoanTracker* tracker = nullptr, const CacheBudget* budget = nullptr);
  ~Depot();
  Depot(const Depot&) = delete;
  Depot& operator=(const Depot&) = delete;

  /// Moves up to out.size() buffers out, cutting a slab when it has none at all. Returns how many.
  std::size_t take(std::span<std::byte*> out) noexcept;
  /// Brings buffers home and wakes as many waiters. A buffer that is home already is fatal, where it is seen.
  void give(std::span<std::byte* const> buffers) noexcept;
  /// Gives the node every slab that is whole. Returns how many bytes.
  std::size_t give_back_slabs() noexcept;

  /// Sets a thread's magazine up: from now on it may hold buffers of this lane.
  void adopt(Magazine& magazine) noexcept;
  /// True when the magazine has a buffer, after moving half its capacity there if it had none, and all of it for a
  /// thread that only lends. False when there is none, or it must stay closed.
  /// REQUIRES: as the next ones, the magazine is the calling thread's, and of this lane.
  bool refill(Magazine& magazine) noexcept;
  /// Makes room for a push: half of a full magazine goes home, or all of it, when its thread only drops or is of
  /// another node. False when it must stay closed.
  bool make_room(Magazine& magazine, bool at_home) noexcept;
  /// Takes all that the magazine has, which is to start small again.
  void empty(Magazine& magazine) noexcept;
  /// As take(), the magazine's own (the warmest) first. They count as nobody's until their new holder counts them.
  std::size_t take_with(Magazine& magazine, std::span<std::byte*> out) noexcept;
  /// Takes the magazine's buffers and counts over, and zeroes it. REQUIRES: its thread does not use it meanwhile.
  void disown(Magazine& magazine) noexcept;
  /// Disowns all magazines; loans of the lane cannot come home after it.
  void retire() noexcept;

  /// Closes all magazines: their threads come by here with the next drop, and open them again when nobody waits.
  void close_magazines() noexcept;

  /// Signals the waiter when a buffer comes home, in the order of the calls. False when there is a free buffer already:
  /// take it instead.
  bool enqueue_waiter(Waiter& waiter) noexcept;
  void remove_waiter(Waiter& waiter) noexcept;
  /// Cuts slabs for those who wait, as far as there is memory, and wakes them.
  void feed() noexcept;

  LaneRecord& record() const noexcept { return record_; }
  std::uint32_t lane() const noexcept { return lane_index_ * kMagazineBytes; }
  std::uint32_t lane_index() const noexcept { return lane_index_; }
  std::uint32_t bytes() const noexcept { return class_.bytes; }
  LoanTracker* tracker() const noexcept { return tracker_; }
  const SizeClass& size_class() const noexcept { return class_; }

  /// True when the address is the start of a buffer of a slab that starts at the chunk.
  bool is_buffer(std::uint32_t chunk, const std::byte* address) const;
  /// The buffer, of a slab that starts at the chunk, in which the address is.
  std::byte* buffer_of(std::uint32_t chunk, const std::byte* address) const;

  /// Calls `visit(buffer)` for each that is home. For check_all(). REQUIRES: nobody uses the depot meanwhile.
  template <typename Visit>
  void visit_home(Visit visit) const;
  std::span<Magazine* const> magazines() const { return magazines_; }

 private:
  static constexpr std::size_t kFullnessSteps = 5;

  bool cut_slab();
  void uncut_slab(std::uint32_t chunk);
  std::size_t take_recent(std::span<std::byte*> out);
  std::uint32_t fullest_slab() const;
  SlabList* list_for(std::uint32_t free_count);
  void set_free_count(std::uint32_t chunk, std::uint32_t free_count);
  std::size_t take_from_slab(std::uint32_t chunk, std::span<std::byte*> out);
  void give_to_slab(std::byte* buffer);
  void send_home(std::size_t count);
  std::uint32_t index_in_slab(std::uint32_t chunk, const std::byte* buffer) const;
  std::size_t take_locked(std::span<std::byte*> out);
  void give_locked(std::span<std::byte* const> buffers);
  void give_oldest(Magazine& magazine, std::uint64_t count);
  bool may_keep(Magazine& magazine);
  void widen(Magazine& magazine);
  void close_locked();
  void note_starved();
  void feed_others() noexcept;
  void wake_for_free();
  void settle_promise(Waiter& waiter);
  void note_counts();
  void note_home();

  SlabSource source_;
  SlabMap& map_;
  const SizeClass class_;
  const unsigned order_;
  const std::uint64_t inverse_stride_;
  const std::uint32_t lane_index_;
  const std::uint32_t magazine_capacity_;
  LoanTracker* const tracker_;
  const CacheBudget* const budget_;
  LaneRecord& record_;

  alignas(64) base::Lock mutex_;  // what a batch changes is in one line
  bool starved_ = false;
  std::byte** const recent_;  ///< stack of at most most_recent_, in the segment
  std::size_t recent_count_ = 0;
  std::size_t free_ = 0;
  std::size_t capacity_ = 0;
  std::atomic<bool> may_have_whole_slabs_{false};     ///< something came home since all of them were given back
  std::array<SlabList, kFullnessSteps> by_fullness_;  ///< slabs by how much of them is home: whole ones last
  const std::size_t most_recent_;
  std::vector<Magazine*> magazines_;
  std::vector<Waiter*> waiters_;
  std::size_t promised_ = 0;  ///< free buffers for which somebody was woken who has not taken any yet
};

/// The depot of a lane (by byte offset), or nullptr when no pool has that lane.
Depot* depot_of(std::uint32_t lane) noexcept;
void set_depot(std::uint32_t lane_index, Depot* depot) noexcept;

template <typename Visit>
void Depot::visit_home(Visit visit) const {
  for (std::size_t i = 0; i < recent_count_; ++i) visit(recent_[i]);
  for (const SlabList& list : by_fullness_) {
    for (std::uint32_t chunk = list.front(); chunk != kNoChunk; chunk = map_[chunk].next) {
      const std::uint64_t* bits = map_.bits(chunk);
      for (std::uint32_t i = 0; i < class_.per_slab; ++i) {
        if ((bits[i / 64] >> i % 64 & 1) != 0) visit(map_.address(chunk) + std::size_t{i} * class_.stride);
      }
    }
  }
}

}  // namespace weir::detail
