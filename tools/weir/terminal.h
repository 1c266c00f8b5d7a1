#pragma once

#include <string>
#include <vector>

namespace weir::tool {

// Colours, on a terminal only, and without NO_COLOR.
std::string bold(const std::string& text);
std::string green(const std::string& text);
std::string yellow(const std::string& text);
std::string red(const std::string& text);

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
  /// The lines with their titles, each beginning with `indent`.
  std::string text(const std::string& indent = "") const;

 private:
  std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace weir::tool
