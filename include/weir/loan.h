#pragma once

#include <weir/detail/guard.h>
#include <weir/detail/magazine.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace weir {

namespace detail {
void drop_slowly(std::byte* data, std::uint32_t lane) noexcept;
struct LoanParts;
}  // namespace detail

/// A buffer in your hands. Move-only, 16 bytes; dropping it (from any thread) gives the buffer back to its pool.
/// REQUIRES: the pool outlives it. Not thread safe by itself: one thread at a time uses a loan.
class [[nodiscard]] Loan {
 public:
  Loan() = default;
  Loan(Loan&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), lane_(other.lane_), size_(std::exchange(other.size_, 0)) {}
  Loan& operator=(Loan&& other) noexcept {
    Loan taken(std::move(other));
    std::swap(data_, taken.data_);
    std::swap(lane_, taken.lane_);
    std::swap(size_, taken.size_);
    return *this;
  }
  ~Loan() {
    if (data_ != nullptr) drop();
  }

  /// False when there is no buffer: the pool's budget is spent, or the loan was moved from.
  explicit operator bool() const noexcept { return data_ != nullptr; }

  std::byte* data() const noexcept { return data_; }
  /// Bytes in use: the whole buffer after a lend, the received bytes after a receive.
  std::uint32_t size() const noexcept { return size_; }
  std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

  /// The buffer alone, for C code; it stays lent until Pool::adopt() makes a loan of it again.
  [[nodiscard]] std::byte* release() noexcept {
    size_ = 0;
    return std::exchange(data_, nullptr);
  }

  /// Keeps the first `size` bytes in use. REQUIRES: size <= size().
  void truncate(std::uint32_t size) noexcept { size_ = size; }

 private:
  friend struct detail::LoanParts;
  Loan(std::byte* data, std::uint32_t lane, std::uint32_t size) noexcept : data_(data), lane_(lane), size_(size) {}

  void drop() noexcept {
    detail::guard_drop(data_, lane_);
    if (!detail::magazine_at(detail::thread_lanes, lane_).push(data_)) [[unlikely]]
      detail::drop_slowly(data_, lane_);
  }

  std::byte* data_ = nullptr;
  std::uint32_t lane_ = 0;
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
  /// A loan of a buffer from the pool; an empty one of none.
  Loan lend() const noexcept {
    if (data != nullptr) guard_lend(data, lane);
    return join();
  }
  static LoanParts take(Loan&& loan) noexcept {
    return {std::exchange(loan.data_, nullptr), loan.lane_, std::exchange(loan.size_, 0)};
  }
  static std::uint32_t lane_of(const Loan& loan) noexcept { return loan.lane_; }
  /// As lend(), into a loan. REQUIRES: it is empty.
  void lend_into(Loan& loan) const noexcept {
    guard_lend(data, lane);
    loan.data_ = data;
    loan.lane_ = lane;
    loan.size_ = size;
  }
};

}  // namespace detail
}  // namespace weir
