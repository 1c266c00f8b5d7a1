#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/units.h"
#include "map_print.h"

namespace weir::tool {
namespace {

using base::format_size;

constexpr int kWidth = 1000;
constexpr int kMargin = 16;
constexpr int kSide = 22;      // of a slab's cell
constexpr int kPitch = 25;     // from one cell to the next
constexpr int kFrame = 4;      // of a cell, in the colour of the class
constexpr int kLine = 28;      // of text
constexpr int kMostCells = 8;  // that a stretch without slabs is wide
constexpr const char* kFreeColour = "#f4f5f7";
constexpr const char* kEntriesColour = "#8d99ae";

/// What is typed between tags and in attributes.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '"') {
      result += "&quot;";
    } else {
      result += c;
    }
  }
  return result;
}

/// Hues far apart for neighbours, by the golden angle.
std::string class_colour(std::size_t size_class) { return fmt::format("hsl({},65%,42%)", size_class * 137 % 360); }

std::string rect(int x, int y, double width, int height, const std::string& colour) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.5g}\" height=\"{}\" fill=\"{}\"/>", x, y, width, height,
                     colour);
}

/// Draws from the top to the bottom, and knows how far it came.
class Drawing {
 public:
  void text(const std::string& line, const char* style = "") {
    y_ += kLine;
    body_ += fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", kMargin, y_ - kLine / 4, style, escaped(line));
  }

  void legend(const PoolLayout& pool) {
    int x = kMargin;
    for (const ShareStyle& share : kShares) x = entry(x, share.colour, share.name);
    x = entry(x, kEntriesColour, "ring entries");
    for (std::size_t i = 0; i < pool.classes.size(); ++i) {
      const ClassLayout& each = pool.classes[i];
      x = entry(x, class_colour(i), fmt::format("{} x {}", each.slabs, class_name(each)));
    }
    y_ += kLine;
  }

  void cells(const PoolLayout& pool, const ArenaLayout& arena) {
    int x = kMargin;
    for (const Cell& cell : arena.cells) {
      const int width = width_of(cell);
      if (x + width > kWidth - kMargin) next_row(x);
      body_ +=
          fmt::format("<g class=\"cell {}\"><title>{}</title>", class_attribute(cell), escaped(cell_name(pool, cell)));
      body_ += cell.kind == Cell::Kind::slab ? slab(x, cell) : stretch(x, width, cell);
      body_ += "</g>\n";
      x += width;
    }
    next_row(x);
  }

  std::string finish() const {
    const int height = y_ + kMargin;
    return fmt::format(
        "{4}<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n{2}{3}</svg>\n",
        kWidth, height, rect(0, 0, kWidth, height, "#ffffff"), body_, kDrawnBy);
  }

 private:
  static const char* class_attribute(const Cell& cell) {
    static constexpr std::array kNames{"slab", "free", "entries"};
    return kNames[static_cast<std::size_t>(cell.kind)];
  }

  /// A cell's width grows with the logarithm of what has no slabs.
  static int width_of(const Cell& cell) {
    if (cell.kind == Cell::Kind::slab) return kPitch;
    const auto doublings = static_cast<int>(std::bit_width(cell.bytes / detail::kChunkBytes));
    return kPitch * std::clamp(doublings, 1, kMostCells);
  }

  /// The shares stand side by side in a frame of the class's colour.
  std::string slab(int x, const Cell& cell) const {
    std::string text = rect(x, y_, kSide, kSide, class_colour(cell.size_class));
    double left = x + kFrame;
    for (const ShareStyle& share : kShares) {
      const auto part = static_cast<double>(cell.shares.*share.count) / static_cast<double>(cell.shares.sum());
      const double width = part * (kSide - 2 * kFrame);
      if (width == 0) continue;
      text += fmt::format("<rect x=\"{:.6g}\" y=\"{}\" width=\"{:.4g}\" height=\"{}\" fill=\"{}\"/>", left, y_ + kFrame,
                          width, kSide - 2 * kFrame, share.colour);
      left += width;
    }
    return text;
  }

  std::string stretch(int x, int width, const Cell& cell) const {
    const bool free = cell.kind == Cell::Kind::free;
    std::string text = rect(x, y_, width - (kPitch - kSide), kSide, free ? kFreeColour : kEntriesColour);
    if (width >= 4 * kPitch) {
      text += fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"10\">{}</text>", x + kFrame, y_ + kSide - 2 * kFrame + 1,
                          format_size(cell.bytes));
    }
    return text;
  }

  /// Returns where the next entry begins.
  int entry(int x, const std::string& colour, const std::string& name) {
    const int width = kPitch + 8 * static_cast<int>(name.size()) + kPitch;
    if (x + width > kWidth - kMargin) {
      x = kMargin;
      y_ += kLine;
    }
    body_ += rect(x, y_, kSide, kSide, colour);
    body_ += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x + kPitch + 2, y_ + kSide - kFrame - 2, escaped(name));
    return x + width;
  }

  void next_row(int& x) {
    x = kMargin;
    y_ += kPitch;
  }

  std::string body_;
  int y_ = kMargin;
};

std::string title_of(const Layout& layout) { return fmt::format("{}, process {}", layout.program, layout.pid); }

}  // namespace

std::string map_svg(const Layout& layout) {
  Drawing drawing;
  drawing.text(title_of(layout), " font-size=\"18\" font-weight=\"bold\"");
  if (layout.pools.empty()) drawing.text("no pool at the moment");
  for (const PoolLayout& pool : layout.pools) {
    drawing.text("pool " + pool.name, " font-weight=\"bold\"");
    drawing.legend(pool);
    for (const ArenaLayout& arena : pool.arenas) {
      drawing.text(fmt::format("node {}, {} at {:#x}", arena.node, format_size(arena.bytes), arena.address));
      drawing.cells(pool, arena);
    }
  }
  return drawing.finish();
}

std::string map_html(const Layout& layout) {
  return fmt::format(
      "<!DOCTYPE html>\n{2}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n"
      "<style>body {{ margin: 0 auto; width: max-content; }} .cell:hover {{ stroke: #000000; }}</style>\n"
      "</head>\n<body>\n{1}</body>\n</html>\n",
      escaped(title_of(layout)), map_svg(layout), kDrawnBy);
}

}  // namespace weir::tool
