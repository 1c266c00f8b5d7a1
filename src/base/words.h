#pragma once

#include <cstddef>
#include <string_view>

namespace weir::base {

/// How many letters must be changed, added or taken away to make one word of the other.
std::size_t edit_distance(std::string_view from, std::string_view to);

}  // namespace weir::base
