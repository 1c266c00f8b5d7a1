#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::detail {

/// What a choice of buffer size costs, in nanoseconds. A receive itself costs 600.
struct SizePrices {
  double byte = 0.1;        ///< each byte of the buffer lent
  double change = 0;        ///< a receive into another size than the one before
  std::uint32_t stale = 0;  ///< receives between the choice of a size and its use
};

/// Each receive is asked for when its size is known.
inline constexpr SizePrices kSinglePrices{};
/// A multishot receive moves to buffers of another size by a cancel and a new request, and some data comes before.
inline constexpr SizePrices kMultishotPrices{.change = 1600, .stale = 8};

/// What arrivals cost by the size chosen for them: what the predictors of a receiver share. An arrival is what had
/// come when a receiver woke; it takes several receives where it is larger than the buffer. Arrivals are told apart
/// by the smallest size that holds them, their bucket; the largest size's has all those that none holds, too.
class SizeCosts {
 public:
  static constexpr std::size_t kMostSizes = 8;
  using Costs = std::array<float, kMostSizes>;
  using Counts = std::array<std::uint16_t, kMostSizes>;
  static constexpr std::uint16_t kOne = 512;  ///< an arrival in Counts

  struct Choice {
    std::uint8_t size;
    float margin;  ///< by how much no other one is worth a change, as far as is known
  };

  /// REQUIRES: the sizes ascend, and there is one at least. Of more than kMostSizes some are left out, but neither the
  /// first nor the last.
  SizeCosts(std::span<const std::uint32_t> sizes, SizePrices prices);

  std::uint32_t bytes(std::uint8_t size) const noexcept { return sizes_[size]; }
  std::uint32_t largest() const noexcept { return sizes_[count_ - 1]; }
  /// REQUIRES: it is not 0; for_rest() too.
  std::uint8_t bucket(std::uint32_t arrival) const noexcept { return buckets_.below(arrival); }

  /// The size that costs least for so many arrivals; `held` unless another one is better by the price of a change.
  Choice choose(const Counts& counts, std::uint8_t held) const noexcept;
  /// How much the margin of `held` shrinks by an arrival, at most.
  float regret(std::uint8_t bucket, std::uint8_t held) const noexcept { return regrets_[bucket][held]; }

  /// A change of size is free and at once: it may be made in the midst of an arrival.
  bool changes_midway() const noexcept { return midway_; }
  /// The size for the rest of an arrival of which so much has come, where that is so: a size, or more.
  std::uint8_t for_rest(std::uint32_t received) const noexcept { return for_rest_[rests_.below(received + 1)]; }

  /// What is assumed of a connection that nothing is known of, and the size for it.
  const Counts& first_counts() const noexcept { return first_counts_; }
  std::uint8_t first() const noexcept { return first_; }

 private:
  static constexpr double kReceive = 600;

  /// Ascending bounds, and how many of them are below a number; the last one is below none.
  class Bounds {
   public:
    void add(std::uint32_t bound) noexcept;
    std::uint32_t last() const noexcept { return bounds_[count_ - 1]; }
    std::uint8_t below(std::uint32_t number) const noexcept {
      std::uint8_t count = start_[static_cast<std::size_t>(std::bit_width(number - 1))];
      while (bounds_[count] < number) ++count;
      return count;
    }

   private:
    std::array<std::uint32_t, kMostSizes + 1> bounds_{UINT32_MAX};
    std::array<std::uint8_t, 33> start_{};  ///< by the bits of the number less one: so many are below all of them
    std::uint8_t count_ = 0;
  };

  double price(std::size_t size) const noexcept { return kReceive + byte_ * sizes_[size]; }
  double cost_of(double arrival, std::size_t size) const noexcept;
  double cost_of_rest(double left, double received) const noexcept;
  void choose_rest(std::size_t index, double received) noexcept;
  void fill(std::size_t bucket) noexcept;
  void assume() noexcept;

  Bounds buckets_{};  ///< the largest arrival of each
  Bounds rests_{};    ///< where the next of for_rest_ begins
  std::array<std::uint32_t, kMostSizes> sizes_{};
  std::array<Costs, kMostSizes> costs_{};  ///< by bucket, then by size
  std::array<Costs, kMostSizes> regrets_{};
  std::array<std::uint8_t, kMostSizes + 1> for_rest_{};
  Counts first_counts_{};
  std::uint8_t first_ = 0;
  std::size_t count_;
  double byte_;
  float patience_ = 0;
  bool midway_;
};

}  // namespace weir::detail
