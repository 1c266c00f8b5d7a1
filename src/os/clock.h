#pragma once

#include <chrono>

namespace weir::os {

using Time = std::chrono::steady_clock::time_point;

Time now() noexcept;

}  // namespace weir::os
