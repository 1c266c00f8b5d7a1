#pragma once

#include <string>

namespace weir::tool {

/// What a time on the command line looks like.
inline constexpr auto kTimeForm = "500ms, 5s, 2m or 1h; a bare number is of seconds";

/// The seconds of such a time, from 10 ms to 240 h. Throws std::invalid_argument, which says what is wrong with it.
double parse_time(const std::string& text);

}  // namespace weir::tool
