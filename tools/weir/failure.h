#pragma once

#include <stdexcept>
#include <string>

namespace weir::tool {

inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// Ends the program with a line on standard error and an exit code.
class Failure : public std::runtime_error {
 public:
  explicit Failure(const std::string& cause_and_fix, int exit_code = kExitFailed)
      : std::runtime_error(cause_and_fix), exit_code_(exit_code) {}
  int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

}  // namespace weir::tool
