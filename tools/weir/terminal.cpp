#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace weir::tool {
namespace {

std::string painted(const char* code, const std::string& text) {
  static const bool wanted = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  return wanted ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

}  // namespace

std::string bold(const std::string& text) { return painted("1", text); }
std::string green(const std::string& text) { return painted("32", text); }
std::string yellow(const std::string& text) { return painted("33", text); }
std::string red(const std::string& text) { return painted("31", text); }

std::string Table::text(const std::string& indent) const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    titles.emplace_back(columns_[i].title);
    widths.push_back(titles.back().size());
    for (const auto& cells : lines_) widths.back() = std::max(widths.back(), cells[i].size());
  }
  std::string all = indent + bold(line(titles, widths)) + "\n";
  for (const auto& cells : lines_) all += indent + line(cells, widths) + "\n";
  return all;
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
