#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace weir::proxy {

inline void say(const std::string& text) { std::fprintf(stderr, "weir-proxy: %s\n", text.c_str()); }

/// Lets one line a second through, and counts the rest.
class RateLimit {
 public:
  void say(const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) {
      ++withheld_;
      return;
    }
    next_ = now + std::chrono::seconds(1);
    const std::string more =
        withheld_ > 0 ? " (and " + std::to_string(withheld_) + " like it since the last line)" : "";
    withheld_ = 0;
    proxy::say(text + more);
  }

 private:
  std::chrono::steady_clock::time_point next_{};
  unsigned long withheld_ = 0;
};

}  // namespace weir::proxy
