#pragma once

#include <weir/loan.h>
#include <weir/options.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir {

namespace detail {
class PoolState;
}

/// Where the buffers are; `capacity == free + cached + user + kernel_ring + kernel_request`, exact when quiescent.
struct Counts {
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
class Pool {
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
      return lend_large(bytes).join();
    const std::uint32_t lane = lane_of_[(bytes + kGranule - 1) / kGranule];
    detail::Magazine& magazine = detail::magazine_at(detail::thread_home_lanes, lane);
    std::byte* const buffer = magazine.pop();
    if (buffer == nullptr) [[unlikely]]
      return lend_slowly(lane).join();
    return detail::LoanParts{buffer, magazine.lane, magazine.bytes}.join();
  }

  /// Gives the buffers in the calling thread's magazines back to the depots; call it before a long sleep.
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
  static constexpr std::size_t kGranule = 64;
  static constexpr std::size_t kTableBytes = std::size_t{64} * 1024;

  detail::LoanParts lend_slowly(std::uint32_t lane) noexcept;
  detail::LoanParts lend_large(std::size_t bytes) noexcept;

  std::array<std::uint32_t, kTableBytes / kGranule + 1> lane_of_{};
  std::unique_ptr<detail::PoolState> state_;
};

}  // namespace weir
