#include "human.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

namespace weir::tool {

std::string format_count(double count) {
  static constexpr std::array kThousands{"", "k", "M", "G", "T", "P", "E"};
  std::size_t power = 0;
  for (; count >= 999.5 && power + 1 < kThousands.size(); ++power) count /= 1000;
  const bool whole = count >= 9.95 || count == static_cast<double>(static_cast<int>(count));
  return fmt::format("{:.{}f}{}", count, whole ? 0 : 1, kThousands[power]);
}

}  // namespace weir::tool
