#pragma once

#include <chrono>
#include <optional>

#include "process.h"

namespace weir::tool {

/// How far CLOCK_MONOTONIC is ahead of this process's in the other, which may be in another time namespace. Empty when
/// that cannot be known.
std::optional<std::chrono::nanoseconds> clock_difference(const Process& process);

}  // namespace weir::tool
