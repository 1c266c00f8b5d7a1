#include "base/words.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace weir::base {

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);  // the distances from what was seen of `from` to each start of `to`
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char letter : from) {
    std::size_t without_both = row[0]++;
    for (std::size_t i = 1; i < row.size(); ++i) {
      const std::size_t changed = without_both + (letter == to[i - 1] ? 0 : 1);
      without_both = row[i];
      row[i] = std::min({changed, row[i] + 1, row[i - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace weir::base
