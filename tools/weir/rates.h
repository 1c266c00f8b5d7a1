#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "snapshot.h"

namespace weir::tool {

/// What only grows, as long as there is a record of the pool or the receiver.
enum class Counter {
  receives,
  bytes,
  enobufs,
  wakes,
  reclaimed,
  lends,
  magazine_lends,
  ring_lends,
  empty,
  refills,
  flushes
};

/// The names that programs read, in the order of Counter.
inline constexpr std::array kCounterNames{"receives",       "bytes",      "enobufs", "wakes",   "reclaimed", "lends",
                                          "magazine_lends", "ring_lends", "empty",   "refills", "flushes"};

template <typename Number>
class PerCounter {
 public:
  Number& operator[](Counter counter) { return numbers_[static_cast<std::size_t>(counter)]; }
  Number operator[](Counter counter) const { return numbers_[static_cast<std::size_t>(counter)]; }
  PerCounter& operator+=(const PerCounter& other) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) numbers_[i] += other.numbers_[i];
    return *this;
  }
  auto begin() const { return numbers_.begin(); }

 private:
  std::array<Number, kCounterNames.size()> numbers_{};
};

using Totals = PerCounter<std::uint64_t>;
using Rates = PerCounter<double>;  ///< a second

Totals totals_of(const Tally& tally);
Totals totals_of(const ReceiverRow& row);

/// Empty when a counter went backwards, so that it is another's, or no time went by.
std::optional<Rates> rates_between(const Totals& before, const Totals& now, double seconds);

/// The same row as it was before; nullptr when there was none.
const PoolView* find_same(const Snapshot& before, const PoolView& pool);
const ReceiverRow* find_same(const Snapshot& before, const ReceiverRow& row);

/// Of a pool or a receiver. What is new began at 0.
template <typename Row>
std::optional<Rates> rates_of(const Snapshot& before, const Row& row, double seconds) {
  const Row* const same = find_same(before, row);
  return rates_between(same != nullptr ? totals_of(*same) : Totals{}, totals_of(row), seconds);
}
Totals totals_of(const PoolView& pool);

/// Of all pools and receivers, those that have ended in between counted.
std::optional<Rates> rates_of(const Snapshot& before, const Snapshot& now, double seconds);

/// Of the program's lends (rings' are the kernel's), the part that found its buffer in the thread's magazine, without a
/// batch from the depot: 0 to 1. Empty when no magazine lent anything.
std::optional<double> hits(const Rates& rates);

}  // namespace weir::tool
