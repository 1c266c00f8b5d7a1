#pragma once

#include <weir/alerts.h>

#include <string>

namespace weir::detail {

/// What alert_to_stderr() writes, without the line's end.
std::string text_of(const Alert& alert);

}  // namespace weir::detail
