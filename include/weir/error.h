#pragma once

#include <string>
#include <system_error>

namespace weir {

/// What set-up throws: an errno, and a line that names the cause and the fix. The data path never throws.
class Error : public std::system_error {
 public:
  Error(int errno_value, const std::string& cause_and_fix);
};

}  // namespace weir
