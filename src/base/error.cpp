#include <weir/error.h>

namespace weir {

Error::Error(int errno_value, const std::string& cause_and_fix)
    : std::system_error(errno_value, std::generic_category(), cause_and_fix) {}

}  // namespace weir
