#include "terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace weir::tool {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// https://no-color.org: set and not empty.
bool has_colours() { return isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb"; }

std::string painted(const std::string& code, const std::string& text) {
  static const bool colours = has_colours();
  return colours ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

/// Of the terminal's 256: light enough for black letters.
constexpr std::array kBackgrounds{117, 222, 151, 217, 183, 229, 116, 215, 189, 150, 224, 252};
constexpr std::size_t kUsualWidth = 80;

}  // namespace

std::string bold(const std::string& text) { return painted("1", text); }
std::string green(const std::string& text) { return painted("32", text); }
std::string yellow(const std::string& text) { return painted("33", text); }
std::string red(const std::string& text) { return painted("31", text); }

std::string on_colour(std::size_t number, const std::string& text) {
  return painted(fmt::format("38;5;16;48;5;{}", kBackgrounds[number % kBackgrounds.size()]), text);
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

std::vector<std::string> Table::lines() const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    titles.emplace_back(columns_[i].title);
    widths.push_back(titles.back().size());
    for (const auto& cells : lines_) widths.back() = std::max(widths.back(), cells[i].size());
  }
  std::vector<std::string> all{line(titles, widths)};
  for (const auto& cells : lines_) all.push_back(line(cells, widths));
  return all;
}

std::string Table::text(const std::string& indent) const {
  const std::vector<std::string> all = lines();
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) text += indent + (i == 0 ? bold(all[i]) : all[i]) + "\n";
  return text;
}

std::string Table::line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const {
  std::string all;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const char* const between = i == 0 ? "" : "  ";
    const bool left = columns_[i].align == Align::left;
    const std::size_t width = left && i + 1 == cells.size() ? 0 : widths[i];  // no spaces at the end of a line
    all += left ? fmt::format("{}{:<{}}", between, cells[i], width) : fmt::format("{}{:>{}}", between, cells[i], width);
  }
  return all;
}

}  // namespace weir::tool
