#pragma once

#include <string>

#include "snapshot.h"

namespace weir::tool {

/// For people: the law of each pool, its memory, and tables of what is used.
std::string stat_text(const Snapshot& snapshot);

/// For programs: one line of JSON with everything.
std::string stat_json(const Snapshot& snapshot);

}  // namespace weir::tool
