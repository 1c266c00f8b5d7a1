#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace bench {

/// Random numbers made beforehand, so that making them is not timed. The same in every run.
class RandomTable {
 public:
  explicit RandomTable(std::size_t below) : numbers_(kCount) {
    std::mt19937 random(1);  // NOLINT: the same in every run
    for (std::uint32_t& number : numbers_) number = static_cast<std::uint32_t>(random() % below);
  }
  std::size_t operator[](std::size_t index) const { return numbers_[index % kCount]; }

 protected:
  static constexpr std::size_t kCount = std::size_t{1} << 16;
  std::vector<std::uint32_t> numbers_;
};

/// Sizes from 64 bytes to 64 KiB, as many in each doubling.
class SizeTable : public RandomTable {
 public:
  SizeTable() : RandomTable(kCount) {
    constexpr double kDoublings = 10;
    for (std::uint32_t& number : numbers_)
      number = static_cast<std::uint32_t>(64 * std::exp2(kDoublings * number / kCount));
  }
};

}  // namespace bench
