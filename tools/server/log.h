#pragma once

#include <chrono>
#include <string>

namespace weir::server {

/// The program's name, which starts each of its lines. REQUIRES: called before it says anything, with a literal.
void set_program(const char* name);
const char* program();

/// A line on standard error, which is lost where there is no room for it at once.
void say(const std::string& text);
/// The same for a program that ends: it waits a little for room.
void say_at_last(const std::string& text);

/// Lets one line a second through, and counts the rest.
class RateLimit {
 public:
  void say(const std::string& text);

 private:
  std::chrono::steady_clock::time_point next_{};
  unsigned long withheld_ = 0;
};

}  // namespace weir::server
