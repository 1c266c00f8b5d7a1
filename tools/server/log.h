#pragma once

#include <chrono>
#include <string>

namespace weir::server {

/// The program's name, which starts each of its lines. REQUIRES: called first, with a literal.
void set_program(const char* name);
const char* program();

/// A line on standard error.
void say(const std::string& text);

/// Lets one line a second through, and counts the rest.
class RateLimit {
 public:
  void say(const std::string& text);

 private:
  std::chrono::steady_clock::time_point next_{};
  unsigned long withheld_ = 0;
};

}  // namespace weir::server
