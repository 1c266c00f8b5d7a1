#pragma once

#include <map>
#include <string>
#include <string_view>

namespace weir {

/// The WEIR_* variables of a process: values by name.
using Environment = std::map<std::string, std::string>;

/// Those of this process.
Environment own_environment();

/// Those of a block like /proc/PID/environ: lines of NAME=VALUE, each ended by a 0.
Environment parse_environment(std::string_view block);

}  // namespace weir
