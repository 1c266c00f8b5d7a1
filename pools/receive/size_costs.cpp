#include "receive/size_costs.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir::detail {
namespace {

constexpr int kSamples = 16;
constexpr unsigned kFar = 4;
constexpr std::uint32_t kNumber = SizeCosts::kMostSizes - 1;
constexpr float kNever = 1e9F;  // the cost of a size that there is not

}  // namespace

SizeCosts::SizeCosts(std::span<const std::uint32_t> sizes, SizePrices prices)
    : count_(std::min(sizes.size(), kMostSizes)), byte_(prices.byte), midway_(prices.change == 0 && prices.stale == 0) {
  for (std::size_t i = 0; i < count_; ++i) {
    sizes_[i] = sizes[i * (sizes.size() - 1) / std::max<std::size_t>(count_ - 1, 1)];
  }
  for (std::size_t i = 0; i + 1 < count_; ++i) {
    buckets_.add(sizes_[i]);
    rests_.add(sizes_[i + 1]);
  }
  rests_.add(kFar * largest());
  choose_rest(count_, 2.0 * kFar * largest());
  for (std::size_t index = count_; index-- > 0;) choose_rest(index, sizes_[index]);
  for (std::size_t bucket = 0; bucket < count_; ++bucket) fill(bucket);
  assume();
  patience_ = static_cast<float>(prices.change * kOne);  // the first choice is no change
}

void SizeCosts::Bounds::add(std::uint32_t bound) noexcept {
  bounds_[count_++] = bound;
  bounds_[count_] = UINT32_MAX;
  for (auto bits = static_cast<std::size_t>(std::max<int>(static_cast<int>(std::bit_width(bound)), 1));
       bits < start_.size(); ++bits) {
    const std::uint64_t least = (std::uint64_t{1} << (bits - 1)) + 1;
    if (bound < least) start_[bits] = count_;
  }
}

/// In nanoseconds, when the size is chosen before the first receive.
double SizeCosts::cost_of(double arrival, std::size_t size) const noexcept {
  if (!midway_) return std::ceil(arrival / sizes_[size]) * price(size);
  return price(size) + cost_of_rest(arrival - sizes_[size], sizes_[size]);
}

double SizeCosts::cost_of_rest(double left, double received) const noexcept {
  double cost = 0;
  while (left > 0) {
    const std::uint8_t size = for_rest(static_cast<std::uint32_t>(received));
    const bool for_all = received >= rests_.last();
    const double receives = for_all ? std::ceil(left / sizes_[size]) : 1;
    cost += receives * price(size);
    left -= receives * sizes_[size];
    received += receives * sizes_[size];
  }
  return cost;
}

/// Nothing is known of the rest but that half of the arrivals that are larger than x are larger than 2x.
/// REQUIRES: it is chosen for all that come after.
void SizeCosts::choose_rest(std::size_t index, double received) noexcept {
  double least = INFINITY;
  std::uint8_t best = 0;
  for (std::size_t size = 0; size < count_; ++size) {
    for_rest_[index] = static_cast<std::uint8_t>(size);
    double cost = 0;
    for (int i = 0; i < kSamples; ++i) cost += cost_of_rest(received * kSamples / (i + 0.5) - received, received);
    if (cost < least) {
      least = cost;
      best = static_cast<std::uint8_t>(size);
    }
  }
  for_rest_[index] = best;
}

/// Arrivals are taken to be spread evenly over the bucket.
void SizeCosts::fill(std::size_t bucket) noexcept {
  Costs& costs = costs_[bucket];
  costs.fill(kNever);
  const double low = bucket > 0 ? sizes_[bucket - 1] : 0;
  const double width = sizes_[bucket] - low;
  for (std::size_t size = 0; size < count_; ++size) {
    double cost = 0;
    for (int i = 0; i < kSamples; ++i) cost += cost_of(low + width * (i + 0.5) / kSamples, size);
    costs[size] = static_cast<float>(cost / kSamples);
  }
  const float least = *std::min_element(costs.begin(), costs.end());
  for (std::size_t size = 0; size < count_; ++size) regrets_[bucket][size] = kOne * (costs[size] - least);
}

/// A quarter of an arrival, by the same law as in choose_rest().
void SizeCosts::assume() noexcept {
  double larger = 1;
  for (std::size_t bucket = 0; bucket < count_; ++bucket) {
    const double next = bucket + 1 < count_ ? 0.5 * sizes_[0] / sizes_[bucket] : 0;
    first_counts_[bucket] = static_cast<std::uint16_t>(std::lround((larger - next) * kOne / 4));
    larger = next;
  }
  first_ = choose(first_counts_, 0).size;
}

SizeCosts::Choice SizeCosts::choose(const Counts& counts, std::uint8_t held) const noexcept {
  Costs sums{};
  for (std::size_t bucket = 0; bucket < kMostSizes; ++bucket) {
    const auto count = static_cast<float>(counts[bucket]);
    for (std::size_t size = 0; size < kMostSizes; ++size) sums[size] += count * costs_[bucket][size];
  }
  // A positive float orders as its bits do; the least of them give way to the size's number.
  std::array<std::uint32_t, kMostSizes> keys{};
  for (std::uint32_t size = 0; size < kMostSizes; ++size) {
    keys[size] = (std::bit_cast<std::uint32_t>(sums[size]) & ~kNumber) | size;
  }
  keys[held] = UINT32_MAX;
  const std::uint32_t other = std::min(std::min(std::min(keys[0], keys[1]), std::min(keys[2], keys[3])),
                                       std::min(std::min(keys[4], keys[5]), std::min(keys[6], keys[7])));
  const auto best = static_cast<std::uint8_t>(other & kNumber);
  const float margin = patience_ + sums[best] - sums[held];
  return margin < 0 ? Choice{best, 0} : Choice{held, margin};
}

}  // namespace weir::detail
