#pragma once

#include <weir/detail/export.h>
#include <weir/detail/guard.h>
#include <weir/detail/magazine.h>
#include <weir/detail/probe.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace weir {

namespace detail {
WEIR_API void drop_slowly(std::byte* data, std::uint32_t lane) noexcept;
/// Of a buffer of the lane; `size` where that is no pool's.
WEIR_API std::uint32_t capacity_of(std::uint32_t lane, std::uint32_t size) noexcept;
struct LoanParts;
}  // namespace detail

/// A buffer in your hands. Move-only, 16 bytes; dropping it (from any thread) gives the buffer back to its pool.
/// REQUIRES: the pool outlives it. Not thread safe by itself: one thread at a time uses a loan.
class [[nodiscard]] Loan {
 public:
  Loan() = default;
  Loan(Loan&& other) noexcept : data_(std::exchange(other.data_, nullptr)), lane_(other.lane_), size_(other.size_) {}
  Loan& operator=(Loan&& other) noexcept {
    std::byte* const data = std::exchange(other.data_, nullptr);
    if (data_ != nullptr) drop();
    data_ = data;
    lane_ = other.lane_;
    size_ = other.size_;
    return *this;
  }
  ~Loan() {
    if (data_ != nullptr) drop();
  }

  /// False when there is no buffer: the pool's budget is spent, or the loan was moved from.
  explicit operator bool() const noexcept { return data_ != nullptr; }

  std::byte* data() const noexcept { return data_; }
  /// Bytes in use: the whole buffer after a lend, the received bytes after a receive.
  std::uint32_t size() const noexcept { return data_ != nullptr ? size_ : 0; }
  /// Size of the whole buffer, of which `size()` are in use; of a part of a buffer, `size()`. 0 when empty.
  std::uint32_t capacity() const noexcept { return data_ != nullptr ? detail::capacity_of(lane_, size_) : 0; }
  std::span<std::byte> bytes() const noexcept { return {data_, size()}; }

  /// The buffer alone, for C code; it stays lent until Pool::adopt() makes a loan of it again.
  /// REQUIRES: it is not of the strategy ring_incremental, whose loans are parts of a buffer.
  [[nodiscard]] std::byte* release() noexcept { return std::exchange(data_, nullptr); }

  /// Keeps the first `size` bytes in use. REQUIRES: size <= size().
  void truncate(std::uint32_t size) noexcept { size_ = size; }

 private:
  friend struct detail::LoanParts;
  Loan(std::byte* data, std::uint32_t lane, std::uint32_t size) noexcept : data_(data), lane_(lane), size_(size) {}

  void drop() noexcept {
    detail::guard_drop(data_, lane_);
    detail::Magazine& magazine = detail::thread_lanes.at(lane_);
    if (!magazine.drop(data_)) [[unlikely]]
      detail::drop_slowly(data_, detail::thread_lanes.lane_of(magazine));
  }

  std::byte* data_ = nullptr;
  std::uint32_t lane_ = 0;  // this and the next mean nothing in an empty loan: a move need not clear them
  std::uint32_t size_ = 0;
};
static_assert(sizeof(Loan) == 16);

namespace detail {

/// A loan taken apart: how the other ways of lending make and take one. In registers, where a Loan is not.
struct LoanParts {
  std::byte* data;
  std::uint32_t lane;
  std::uint32_t size;

  /// A loan of a buffer that a user has already, taken apart before.
  Loan join() const noexcept { return {data, lane, size}; }
  /// A loan of a buffer that the pool lends now; an empty one of none.
  Loan lend() const noexcept {
    if (data != nullptr) {
      probe::lend(data, size);
      guard_lend(data, lane);
    }
    return join();
  }
  /// A loan of a buffer that the magazine lent.
  static Loan lent(std::byte* buffer, const Magazine& magazine) noexcept {
    guard_lend(buffer, magazine.lane);
    return LoanParts{buffer, magazine.lane, magazine.bytes}.join();
  }
  static LoanParts take(Loan&& loan) noexcept { return {std::exchange(loan.data_, nullptr), loan.lane_, loan.size_}; }
  static std::uint32_t lane_of(const Loan& loan) noexcept { return loan.lane_; }
  /// As lend(), of many buffers of a lane. REQUIRES: the loans are empty.
  static void fill(std::span<Loan> loans, std::byte* const* buffers, std::uint32_t lane, std::uint32_t size) noexcept;
  /// Takes the buffers out of the first loans, as long as they are of the lane. Returns how many; it may write to all
  /// of `buffers`. REQUIRES: there is room for all.
  static std::size_t empty(std::span<Loan> loans, std::uint32_t lane, std::byte** buffers) noexcept;
};

}  // namespace detail
}  // namespace weir
