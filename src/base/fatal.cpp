#include "base/fatal.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "base/no_cancel.h"

namespace weir::base {
namespace {

void print_line(const char* format, va_list arguments) {
  const NoCancel no_cancel;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::fprintf(stderr, "weir: %s\n", line);
}

}  // namespace

void fatal(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line(format, arguments);
  va_end(arguments);
  std::abort();
}

void warn(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line(format, arguments);
  va_end(arguments);
}

}  // namespace weir::base
