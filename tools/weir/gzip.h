#pragma once

#include <string>

namespace weir::tool {

/// The text in the format of gzip.
std::string gzip(const std::string& text);

}  // namespace weir::tool
