#include "times.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include "text.h"

namespace weir::tool {
namespace {

constexpr double kLeastSeconds = 0.01;
constexpr double kMostSeconds = 240 * 3600;

struct Unit {
  std::string_view name;
  double seconds;
};
constexpr std::array kUnits{Unit{"", 1}, Unit{"ms", 0.001}, Unit{"s", 1}, Unit{"m", 60}, Unit{"h", 3600}};

}  // namespace

double parse_time(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : kUnits) {
    const double seconds = number * unit.seconds;
    if (error == std::errc{} && rest == unit.name && seconds >= kLeastSeconds && seconds <= kMostSeconds)
      return seconds;
  }
  throw std::invalid_argument(fmt::format("{} is no time from 10ms to 240h: give {}", printable(text), kTimeForm));
}

}  // namespace weir::tool
