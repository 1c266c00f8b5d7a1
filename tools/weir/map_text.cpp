#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/units.h"
#include "map_print.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using base::format_size;

/// By a class's place among those with slabs; then all are '?'.
constexpr std::string_view kClassLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kIndent = "  ";

char class_letter(std::size_t size_class) {
  return size_class < kClassLetters.size() ? kClassLetters[size_class] : '?';
}

/// Of who has most of the buffers that are out; a capital where half are out, or more.
char holder_letter(const Shares& shares) {
  if (shares.free == shares.sum()) return kShares.front().letter;
  const auto out = std::max_element(kShares.begin() + 1, kShares.end(),
                                    [&](const auto& a, const auto& b) { return shares.*a.count < shares.*b.count; });
  const bool capital = shares.free <= shares.sum() / 2;
  return static_cast<char>(capital ? out->letter - 'a' + 'A' : out->letter);
}

std::string text_of(const Cell& cell) {
  if (cell.kind == Cell::Kind::slab) return {class_letter(cell.size_class), holder_letter(cell.shares)};
  return fmt::format("[{} {}]", format_size(cell.bytes), cell.kind == Cell::Kind::free ? "free" : "ring entries");
}

std::string cell_lines(const ArenaLayout& arena, std::size_t width) {
  std::string lines;
  std::size_t used = 0;
  for (const Cell& cell : arena.cells) {
    const std::string text = text_of(cell);
    const bool wraps = used == 0 || used + 1 + text.size() > width;
    lines += wraps ? (lines.empty() ? "" : "\n") + std::string(kIndent) : " ";
    used = wraps ? kIndent.size() + text.size() : used + 1 + text.size();
    lines += cell.kind == Cell::Kind::slab ? on_colour(cell.size_class, text) : text;
  }
  return lines + "\n";
}

std::string class_table(const PoolLayout& pool) {
  Table table({{""}, {"buffer"}, {"slabs"}, {"buffers"}, {"free"}, {"cached"}, {"user or request"}, {"ring"}});
  for (std::size_t i = 0; i < pool.classes.size(); ++i) {
    const ClassLayout& each = pool.classes[i];
    std::vector<std::string> cells{{class_letter(i)}, class_name(each)};
    for (const std::uint64_t count :
         {each.slabs, each.shares.sum(), each.shares.free, each.shares.cached, each.shares.lent, each.shares.ring}) {
      cells.push_back(std::to_string(count));
    }
    table.add(std::move(cells));
  }
  return pool.classes.empty() ? "" : "\n" + table.text(std::string(kIndent));
}

constexpr const char* kLegend =
    "\nEach pair of letters is a slab: its class, and who has most of its buffers that are out:\n"
    "  c cached by threads, u users or requests, r rings, . none is out; a capital: half are out or more\n";

}  // namespace

std::string class_name(const ClassLayout& size_class) {
  return format_size(size_class.bytes) + (size_class.alignment >= base::kSmallPage ? " page" : "");
}

std::string cell_name(const PoolLayout& pool, const Cell& cell) {
  const std::string place = fmt::format("{:#x}: {}", cell.address, format_size(cell.bytes));
  if (cell.kind == Cell::Kind::free) return place + " free";
  if (cell.kind == Cell::Kind::entries) return place + " with entries of rings";
  std::string name =
      fmt::format("{} of {} buffers of {}:", place, cell.shares.sum(), class_name(pool.classes[cell.size_class]));
  for (const ShareStyle& share : kShares) {
    name += fmt::format("{} {} {}", &share == kShares.data() ? "" : ",", cell.shares.*share.count, share.name);
  }
  return name;
}

std::string map_text(const Layout& layout, std::size_t width) {
  std::string text = bold(fmt::format("{}, process {}", layout.program, layout.pid)) + "\n";
  if (layout.pools.empty()) return text + "\nno pool at the moment\n";
  for (const PoolLayout& pool : layout.pools) {
    text += fmt::format("\npool {}\n", bold(pool.name));
    for (const ArenaLayout& arena : pool.arenas) {
      text += fmt::format("{}node {}, {} at {:#x}\n", kIndent, arena.node, format_size(arena.bytes), arena.address);
      text += cell_lines(arena, width);
    }
    text += class_table(pool);
  }
  return text + kLegend;
}

}  // namespace weir::tool
