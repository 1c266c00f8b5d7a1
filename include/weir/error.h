#pragma once

#include <weir/detail/export.h>

#include <string>
#include <system_error>

namespace weir {

/// What set-up throws: an errno, and a line that names the cause and the fix. The data path never throws.
class WEIR_API Error : public std::system_error {
 public:
  Error(int errno_value, std::string cause_and_fix);
  /// The line alone: what it ends with can be typed.
  const char* what() const noexcept override { return cause_and_fix_.c_str(); }

 private:
  std::string cause_and_fix_;
};

}  // namespace weir
