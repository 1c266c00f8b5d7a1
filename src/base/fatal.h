#pragma once

namespace weir::base {

/// Prints "weir: <message>" as one line on standard error and aborts: for broken promises (a buffer in two hands, a
/// pool destroyed with loans out), never for conditions a caller could handle. Allocates nothing.
[[noreturn]] void fatal(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Prints "weir: <message>" as one line on standard error. Allocates nothing.
void warn(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace weir::base
