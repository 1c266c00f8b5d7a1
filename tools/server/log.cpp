#include "log.h"

#include <cstdio>

namespace weir::server {
namespace {

const char* program_name = "weir";

}  // namespace

void set_program(const char* name) { program_name = name; }

const char* program() { return program_name; }

void say(const std::string& text) { std::fprintf(stderr, "%s: %s\n", program_name, text.c_str()); }

void RateLimit::say(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) {
    ++withheld_;
    return;
  }
  next_ = now + std::chrono::seconds(1);
  const std::string more = withheld_ > 0 ? " (and " + std::to_string(withheld_) + " like it since the last line)" : "";
  withheld_ = 0;
  server::say(text + more);
}

}  // namespace weir::server
