#include "receive/predictor.h"

#include <algorithm>

namespace weir::detail {
namespace {

constexpr std::uint32_t kFirst = 2048;
constexpr std::size_t kUp = 4;
constexpr std::size_t kDown = 1;

}  // namespace

Predictor::Predictor(std::span<const std::uint32_t> sizes) : sizes_(sizes) {
  const auto first = std::lower_bound(sizes.begin(), sizes.end(), kFirst);
  index_ = static_cast<std::uint16_t>(std::min<std::size_t>(first - sizes.begin(), sizes.size() - 1));
}

void Predictor::observe(std::uint32_t bytes) noexcept {
  if (bytes >= predict()) {
    index_ = static_cast<std::uint16_t>(std::min(index_ + kUp, sizes_.size() - 1));
    was_small_ = false;
  } else if (index_ >= kDown && bytes <= sizes_[index_ - kDown]) {
    if (was_small_) index_ = static_cast<std::uint16_t>(index_ - kDown);
    was_small_ = !was_small_;
  }
}

}  // namespace weir::detail
