#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "layout.h"

namespace weir::tool {

/// For a terminal: a cell of two letters for each slab, in lines of up to `width` columns.
std::string map_text(const Layout& layout, std::size_t width);

/// For programs: one line of JSON with every cell.
std::string map_json(const Layout& layout);

/// At the start of each picture and page, so that its file is known again.
inline constexpr auto kDrawnBy = "<!-- drawn by weir map -->\n";

/// A picture that needs nothing else; what a cell is shows when the pointer rests on it.
std::string map_svg(const Layout& layout);

/// The picture as a page of its own.
std::string map_html(const Layout& layout);

/// A share of a slab, as all pictures show it.
struct ShareStyle {
  std::uint64_t Shares::*count;
  char letter;
  const char* name;
  const char* colour;
};

inline constexpr std::array<ShareStyle, 4> kShares{{{&Shares::free, '.', "free", "#e4e7eb"},
                                                    {&Shares::cached, 'c', "cached", "#7aa6da"},
                                                    {&Shares::lent, 'u', "user or request", "#e8833a"},
                                                    {&Shares::ring, 'r', "ring", "#5aa469"}}};

/// "16 KiB page": of a class, its buffers' size, and the alignment where that is a page.
std::string class_name(const ClassLayout& size_class);

/// What is to be known of a cell: its address, what it is and who holds how many of its buffers.
std::string cell_name(const PoolLayout& pool, const Cell& cell);

}  // namespace weir::tool
