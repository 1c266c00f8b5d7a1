#pragma once

#include <string_view>

namespace weir::os {

/// Sends journald an entry in its native format, without waiting. Returns 0 or -errno.
int send_to_journal(std::string_view entry) noexcept;

}  // namespace weir::os
