#pragma once

#include <weir/detail/export.h>
#include <weir/loan.h>
#include <weir/options.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace weir {

namespace detail {
class Helper;
class PoolState;
}  // namespace detail

class Lane;
class NodeLane;

/// Where the buffers are; `capacity == free + cached + user + kernel_ring + kernel_request`, exact when quiescent.
struct WEIR_API Counts {
  std::uint64_t capacity = 0;        ///< buffers cut so far
  std::uint64_t free = 0;            ///< in the depots
  std::uint64_t cached = 0;          ///< in the threads' magazines
  std::uint64_t user = 0;            ///< lent to user code
  std::uint64_t kernel_ring = 0;     ///< provided to the kernel in buffer rings
  std::uint64_t kernel_request = 0;  ///< submitted to the kernel with a request
  bool law_holds() const { return capacity == free + cached + user + kernel_ring + kernel_request; }
  Counts& operator+=(const Counts& other);
};

/// What an arena really got.
struct Grade {
  int node = 0;
  std::size_t bytes = 0;
  std::size_t page_bytes = 0;  ///< size of the pages that back all of it
  bool huge_tlb = false;       ///< explicit huge pages, which are never swapped or split
  bool populated = false;
  bool locked = false;
  bool bound = false;  ///< every page was found on `node`
  std::string reason;  ///< why it is not more than it is; empty when nothing was asked and not got
};

/// A slab pool of I/O buffers. Construction maps, binds, populates and verifies all of its memory; no page fault,
/// system call or allocation happens on the lend and drop path afterwards, but for a thread's first touch of a size
/// class. Thread safe, but for construction and destruction. A child of fork has none of the memory: there, lending
/// aborts, dropping loans and destroying do nothing, and touching a buffer is SIGSEGV.
class WEIR_API Pool {
 public:
  /// Throws Error (with the cause and the fix) when the options are wrong or the memory cannot be had.
  explicit Pool(const Options& options = {});
  /// REQUIRES: no loan is out and no other thread is inside a call; a loan still out is fatal, with its class named.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// A buffer of the smallest class that holds `bytes`, on the calling thread's node where that has one. Empty when
  /// the budget is spent or no class is as large.
  Loan lend(std::size_t bytes) noexcept {
    if (bytes > kTableBytes) [[unlikely]]
      return lend_large(bytes).lend();
    return lend_of(small_lane(bytes));
  }

  /// Lane::lend_many() of lane(bytes).
  std::size_t lend_many(std::size_t bytes, std::span<Loan> loans) noexcept;

  /// The same from the page-aligned classes (WEIR_PAGE_CLASSES): for files and O_DIRECT.
  Loan lend_pages(std::size_t bytes) noexcept;

  /// Maps `bytes` more than there are, on the nodes alike as far as node_max_bytes allows, rounded up to whole huge
  /// pages as far as max_bytes allows; whoever waits is woken. Call it off the data path: it takes the time of a page
  /// fault for each page. Throws Error when the budget is spent or a node has not the memory; then no node grew.
  void reserve(std::size_t bytes);
  /// Gives the system every arena without a buffer in use, but for the first of each node and those that a
  /// RegisteredPool has. A buffer in a thread's magazine is in use. Returns how many bytes.
  std::size_t trim() noexcept;

  /// The class that lend(bytes) would use, looked up once.
  Lane lane(std::size_t bytes) noexcept;
  /// The same of the node with the system's number `node`, wherever the calling thread runs. Throws Error when the pool
  /// has no memory there (Options::nodes), or none apart from the other nodes' (Placement::interleave).
  NodeLane lane(std::size_t bytes, int node);
  /// The class that lend_pages(bytes) would use, looked up once.
  Lane page_lane(std::size_t bytes) noexcept;

  /// Makes a loan of what Loan::release() gave, with the whole buffer in use. A pointer that is not the start of a
  /// buffer of this pool is fatal. O(1).
  Loan adopt(std::byte* buffer) noexcept;

  /// Drops what Loan::release() gave, as adopt() would have it.
  void drop(std::byte* buffer) noexcept;

  /// Gives this pool's buffers in the calling thread's magazines back to the depots; call it before a long sleep.
  void flush() noexcept;

  const Options& options() const noexcept;
  /// Where the buffers of the pool are now. REQUIRES: this is no child of fork.
  Counts counts() const;
  /// What each arena got, in the order of mapping.
  std::vector<Grade> grades() const;
  /// Walks every depot, magazine and ring, and compares with the counts. Returns what is wrong, empty when nothing is.
  /// REQUIRES: no thread uses the pool meanwhile.
  std::string check_all() const;

  detail::PoolState& state() noexcept { return *state_; }

 private:
  friend class Lane;
  friend class NodeLane;
  static constexpr std::size_t kSizeStep = 64;
  static constexpr std::size_t kTableBytes = std::size_t{64} * 1024;

  /// REQUIRES: bytes <= kTableBytes.
  std::uint64_t small_lane(std::size_t bytes) const noexcept { return lane_of_[(bytes + kSizeStep - 1) / kSizeStep]; }
  Loan lend_of(std::uint64_t lane) noexcept {
    detail::Magazine& magazine = detail::thread_home_lanes.at(lane);
    std::byte* const buffer = magazine.lend();
    if (buffer == nullptr) [[unlikely]]
      return lend_slowly(detail::thread_home_lanes.lane_of(magazine)).lend();
    return detail::LoanParts::lent(buffer, magazine);
  }
  detail::LoanParts lend_large(std::size_t bytes) noexcept;
  std::uint32_t lane_for(std::size_t bytes) const noexcept;
  std::uint32_t lane_of_class(std::size_t index) const noexcept;
  detail::LoanParts lend_slowly(std::uint32_t lane) noexcept;

  std::array<std::uint64_t, kTableBytes / kSizeStep + 1> lane_of_{};
  std::unique_ptr<detail::PoolState> state_;
  std::unique_ptr<detail::Helper> helper_;  ///< the pool's thread, which ends before the rest does; or none
};

/// A size class of a pool, looked up once. Cheap to copy. REQUIRES: the pool outlives it.
class WEIR_API Lane {
 public:
  /// As Pool::lend() of the size that it was looked up for.
  Loan lend() noexcept { return pool_->lend_of(lane_); }
  /// As many loans as `loans` has room for, faster than one by one. Returns how many there were; those are the first.
  /// REQUIRES: every loan in `loans` is empty.
  std::size_t lend_many(std::span<Loan> loans) noexcept;

 private:
  friend class Pool;
  Lane(Pool& pool, std::uint64_t lane) : pool_(&pool), lane_(lane) {}

  Pool* pool_;
  std::uint64_t lane_;
};

/// A size class of a pool on one node, looked up once. Cheap to copy. REQUIRES: the pool outlives it.
class WEIR_API NodeLane {
 public:
  /// A buffer of that node; empty when it has none, whatever the others have.
  Loan lend() noexcept {
    detail::Magazine& magazine = detail::thread_lanes.at(lane_);
    std::byte* const buffer = magazine.lend();
    if (buffer == nullptr) [[unlikely]]
      return lend_slowly().lend();
    return detail::LoanParts::lent(buffer, magazine);
  }

 private:
  friend class Pool;
  NodeLane(Pool& pool, std::uint64_t lane) : pool_(&pool), lane_(lane) {}
  detail::LoanParts lend_slowly() noexcept;

  Pool* pool_;
  std::uint64_t lane_;
};

/// Drops all of them: faster than one by one where they are many.
WEIR_API void drop_many(std::span<Loan> loans) noexcept;

}  // namespace weir
