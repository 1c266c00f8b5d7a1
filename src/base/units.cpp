#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace weir::base {
namespace {

std::optional<unsigned> shift_of_suffix(std::string_view suffix) {
  if (suffix.empty() || suffix == "b" || suffix == "B") return 0;
  std::string_view rest = suffix.substr(1);
  if (!rest.empty() && rest != "b" && rest != "B" && rest != "ib" && rest != "iB") return std::nullopt;
  switch (suffix.front()) {
    case 'k':
    case 'K':
      return 10;
    case 'm':
    case 'M':
      return 20;
    case 'g':
    case 'G':
      return 30;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  auto shift = shift_of_suffix(text.substr(static_cast<std::size_t>(end - text.data())));
  if (!shift || number > (UINT64_MAX >> *shift)) return std::nullopt;
  return number << *shift;
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array kSuffixes{'g', 'm', 'k'};
  for (unsigned i = 0; i < kSuffixes.size(); ++i) {
    const unsigned shift = 30 - 10 * i;
    if (bytes != 0 && bytes % (1ULL << shift) == 0) return std::to_string(bytes >> shift) + kSuffixes.at(i);
  }
  return std::to_string(bytes);
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  const bool whole = value == std::floor(value);
  std::snprintf(text, sizeof text, whole ? "%.0f %s" : "%.1f %s", value, kUnits.at(unit));
  return text;
}

}  // namespace weir::base
