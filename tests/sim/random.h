#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::sim {

/// Numbers that follow from a seed, the same on every machine (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }
  /// Less than `bound`, which is not 0.
  std::size_t below(std::size_t bound) { return next() % bound; }
  /// From `least` to `most`, both included.
  std::size_t between(std::size_t least, std::size_t most) { return least + below(most - least + 1); }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <typename Row, std::size_t kCount>
  Row& pick(Row (&rows)[kCount]) {
    return rows[below(kCount)];
  }

 private:
  std::uint64_t state_;
};

}  // namespace weir::sim
