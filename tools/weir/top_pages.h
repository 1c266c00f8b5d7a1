#pragma once

#include <string>
#include <vector>

#include "rates.h"
#include "watched.h"

namespace weir::tool {

/// A table of `weir top`: its titles are the first line.
struct Page {
  std::string name;
  std::vector<std::string> lines;
};

/// The pages of a pool: now.snapshot.pools[pool], which before may have had too.
std::vector<Page> pages_of(const Sample& before, const Sample& now, std::size_t pool);

/// What is said of the whole pool in a few lines.
std::vector<std::string> summary_of(const Sample& before, const Sample& now, std::size_t pool);

}  // namespace weir::tool
