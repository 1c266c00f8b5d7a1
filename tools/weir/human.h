#pragma once

#include <string>

namespace weir::tool {

/// At most four characters: "0", "0.3", "27", "999", "1.2k", "340M".
std::string format_count(double count);

}  // namespace weir::tool
