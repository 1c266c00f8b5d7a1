#include "receive/predictor.h"

#include <algorithm>

namespace weir::detail {
namespace {

constexpr std::uint32_t kUnit = 64;  // sizes are multiples of it
constexpr unsigned kMemory = 6;      // an arrival has a third of its weight after 2^6 more
constexpr float kFaded = 1 - 1.0F / (1U << kMemory);

std::uint16_t faded(std::uint16_t count) {
  constexpr unsigned kUp = (1U << kMemory) - 1;  // so that nothing stays for ever
  return static_cast<std::uint16_t>(count - ((count + kUp) >> kMemory));
}

}  // namespace

Predictor::Predictor(const SizeCosts& costs) noexcept
    : costs_(&costs), counts_(costs.first_counts()), first_(costs.first()), size_(costs.first()) {}

void Predictor::observe(std::uint32_t bytes, std::uint32_t capacity) noexcept {
  if (bytes < capacity) {
    note_arrival(received_ * kUnit + bytes);
    received_ = 0;
  } else {
    note_full(bytes);
  }
}

void Predictor::note_full(std::uint32_t bytes) noexcept {
  std::uint32_t received = received_ * kUnit + bytes;
  if (costs_->changes_midway()) {
    size_ = costs_->for_rest(received);
  } else if (received >= costs_->largest()) {
    received -= costs_->largest();
    note_arrival(costs_->largest());  // costs of one size add up
  } else {
    expect_more(received_ * kUnit, received);
  }
  received_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(received / kUnit, UINT16_MAX));
}

/// At a guess, half as much is to come. `before`: what had been received when that was last asked.
void Predictor::expect_more(std::uint32_t before, std::uint32_t received) noexcept {
  const std::uint8_t bucket = costs_->bucket(received + received / 2);
  if (before > 0 && bucket == costs_->bucket(before + before / 2)) return;
  if (costs_->regret(bucket, size_) <= margin_) return;
  SizeCosts::Counts counts = counts_;
  counts[bucket] = static_cast<std::uint16_t>(counts[bucket] + SizeCosts::kOne);
  const std::uint8_t size = costs_->choose(counts, size_).size;
  if (size == size_) return;
  first_ = size_ = size;
  margin_ = -1;
}

void Predictor::note_arrival(std::uint32_t bytes) noexcept {
  const std::uint8_t bucket = costs_->bucket(bytes);
  for (std::uint8_t i = 0; i < SizeCosts::kMostSizes; ++i) {
    counts_[i] = static_cast<std::uint16_t>(faded(counts_[i]) + (i == bucket ? SizeCosts::kOne : 0));
  }
  margin_ = margin_ * kFaded - costs_->regret(bucket, first_);
  if (margin_ < 1) {  // not 0: it would fade into numbers so small that processors are slow with them
    const SizeCosts::Choice choice = costs_->choose(counts_, first_);
    first_ = choice.size;
    margin_ = choice.margin;
  }
  size_ = first_;
}

}  // namespace weir::detail
