#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::detail {

/// Foretells how much a connection's next receive brings, by Netty's published rule: at once four sizes up after a
/// receive that filled its buffer, one size down after two receives that would have fitted the smaller one. It starts
/// at 2 KiB, where there is such a size.
class Predictor {
 public:
  Predictor() = default;
  /// REQUIRES: the sizes ascend, there is one at least, and they outlive this.
  explicit Predictor(std::span<const std::uint32_t> sizes);

  /// Bytes, one of the sizes.
  std::uint32_t predict() const noexcept { return sizes_[index_]; }
  /// A receive into a buffer of predict() bytes brought so many.
  void observe(std::uint32_t bytes) noexcept;

 private:
  std::span<const std::uint32_t> sizes_;
  std::uint16_t index_ = 0;
  bool was_small_ = false;
};

}  // namespace weir::detail
