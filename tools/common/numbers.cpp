#include "numbers.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>

namespace weir::common {
namespace {

constexpr std::size_t kLongest = 300;

bool is_within(const std::string& text, double least, double most) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && rest == end && value >= least && value <= most;  // false for nan
}

/// 1000000, not 1e+06.
std::string text_of(double number) {
  std::array<char, 400> text;
  return {text.data(), std::to_chars(text.begin(), text.end(), number, std::chars_format::fixed).ptr};
}

}  // namespace

CLI::Validator from_to(double least, double most) {
  const auto check = [=](const std::string& text) {
    const bool fits = is_within(text, least, most);
    return fits ? std::string() : shown(text) + " is no number from " + text_of(least) + " to " + text_of(most);
  };
  return {check, ""};
}

std::string shown(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
  return text;
}

}  // namespace weir::common
