#include "os/clock.h"

namespace weir::os {

Time now() noexcept { return std::chrono::steady_clock::now(); }

}  // namespace weir::os
