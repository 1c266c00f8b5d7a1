#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weir::tool {

// Colours, on a terminal only, and where NO_COLOR is not set.
std::string bold(const std::string& text);
std::string green(const std::string& text);
std::string yellow(const std::string& text);
std::string red(const std::string& text);
/// On one of the colours that tell neighbours in a picture apart.
std::string on_colour(std::size_t number, const std::string& text);

/// Columns that a line may have.
std::size_t terminal_width();

/// Lines of cells under titles, aligned when printed.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    const char* title;
    Align align = Align::right;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// REQUIRES: as many cells as there are columns.
  void add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }
  /// The titles, then the lines.
  std::vector<std::string> lines() const;
  /// The same for standard output, each line beginning with `indent`.
  std::string text(const std::string& indent = "") const;

 private:
  std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace weir::tool
