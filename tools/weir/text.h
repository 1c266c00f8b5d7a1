#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace weir::tool {

/// Text of another process, fit for a terminal: whatever is not printable ASCII becomes a question mark.
inline std::string printable(std::string_view text) {
  std::string result(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

/// The same of a field that ends at its first 0, if it has one.
template <std::size_t Size>
std::string printable(const std::array<char, Size>& field) {
  return printable(std::string_view(field.begin(), std::find(field.begin(), field.end(), '\0')));
}

}  // namespace weir::tool
