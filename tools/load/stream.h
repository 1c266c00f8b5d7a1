#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace weir::load {

constexpr std::size_t kLongestMessage = 4 << 20;

/// The bytes that connections carry. Each connection has a stream of its own, which repeats after a prime number of
/// bytes only, so that what is lost, doubled, misplaced or another's is seen.
class Stream {
 public:
  Stream() : bytes_(kPeriod + kLongestMessage) {
    std::mt19937 random{1};
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      bytes_[i] = i < kPeriod ? static_cast<std::byte>(random()) : bytes_[i - kPeriod];
    }
  }

  /// REQUIRES: bytes <= kLongestMessage.
  std::span<const std::byte> part(std::uint64_t connection, std::uint64_t position, std::size_t bytes) const {
    return {bytes_.data() + (connection * kStride + position) % kPeriod, bytes};
  }

 private:
  static constexpr std::size_t kPeriod = 1'048'573;
  static constexpr std::uint64_t kStride = 7919;

  std::vector<std::byte> bytes_;
};

}  // namespace weir::load
