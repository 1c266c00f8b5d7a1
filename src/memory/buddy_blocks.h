#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/lock.h"
#include "memory/alarm.h"
#include "memory/slab_map.h"

namespace weir::detail {

class Depot;

/// The memory of a pool on one node that no size class has: blocks of 64 KiB to 2 MiB, halved and joined again in
/// pairs, and pages for the kernel's buffer rings. Thread safe. It allocates nothing after add_memory().
class BuddyBlocks {
 public:
  /// Of the blocks from one chunk to before another.
  explicit BuddyBlocks(SlabMap& map, std::uint32_t first = 0, std::uint32_t end = kNoChunk);

  /// Raises the alarm, that of the node with this index, whenever a block is refused, or less than `low_bytes` are
  /// free. REQUIRES: before any other call.
  void set_alarm(Alarm& alarm, std::size_t node, std::size_t low_bytes);
  /// True while that is so; a free block of the size that was refused ends it.
  bool is_short() const;
  /// Size of that block; 0: none was refused.
  std::size_t refused_bytes() const;
  /// True when so much less would not be short.
  bool can_spare(std::size_t bytes) const;

  /// Takes an arena in. REQUIRES: its records are populated; it starts at a multiple of its largest blocks.
  void add_memory(const std::byte* base, std::size_t bytes);
  /// Takes an arena out again when no part of it is in use; false when one is.
  bool remove_memory(const std::byte* base, std::size_t bytes);
  /// True when no part of an arena is in use, nor was since the call before for the same arena.
  bool untouched(const std::byte* base, std::size_t bytes);

  /// A block of kChunkBytes << order bytes, by its chunk; kNoChunk when there is none.
  std::uint32_t take(unsigned order);
  void give(std::uint32_t chunk, unsigned order);

  /// Page-aligned memory of at most 2 MiB; nullptr when there is none.
  std::byte* take_pages(std::size_t bytes);
  void give_pages(std::byte* where, std::size_t bytes);

  bool has(std::uint32_t chunk) const { return chunk >= first_ && chunk < end_; }

  /// Notes whether somebody waits for a buffer of the depot: memory that comes back is for those first.
  void set_has_waiters(Depot& depot, bool has_waiters);
  bool any_has_waiters() const { return with_waiters_count_.load(std::memory_order_relaxed) > 0; }
  /// Writes the depots that are, those that are longest first. Returns how many.
  std::size_t with_waiters(std::span<Depot*> out) const;

  /// Bytes that no class and no ring has.
  std::size_t free_bytes() const;

  SlabMap& map() { return map_; }

 private:
  static constexpr unsigned kOrders = 6;

  std::uint32_t take_locked(unsigned order);
  std::uint32_t take_or_alarm(unsigned order);
  bool is_low_locked() const;
  bool is_short_locked() const;
  template <typename Visit>
  bool all_free(const std::byte* base, std::size_t bytes, Visit visit);
  void give_locked(std::uint32_t chunk, unsigned order);
  void put(std::uint32_t chunk, unsigned order);
  void pull(std::uint32_t chunk);
  std::byte* take_small(std::uint32_t pages);

  SlabMap& map_;
  const std::uint32_t first_;
  const std::uint32_t end_;
  Alarm* alarm_ = nullptr;
  std::size_t node_ = 0;  ///< its index
  std::size_t low_bytes_ = 0;
  mutable base::Lock mutex_;
  std::array<SlabList, kOrders> free_;
  SlabList page_chunks_;  ///< chunks of which some pages are used
  std::size_t free_chunks_ = 0;
  std::optional<unsigned> refused_;  ///< the order of a block that there was none of
  std::vector<Depot*> with_waiters_;
  std::atomic<std::size_t> with_waiters_count_{0};
};

}  // namespace weir::detail
