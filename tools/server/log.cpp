#include "log.h"

#include "common/streams.h"

namespace weir::server {
namespace {

const char* program_name = "weir";

}  // namespace

void set_program(const char* name) { program_name = name; }

const char* program() { return program_name; }

void say(const std::string& text) { common::write_line(std::string(program_name) + ": " + text); }

void say_at_last(const std::string& text) {
  common::write_line(std::string(program_name) + ": " + text, common::kLastPatience);
}

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
