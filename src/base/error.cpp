#include <weir/error.h>

#include <utility>

namespace weir {

Error::Error(int errno_value, std::string cause_and_fix)
    : std::system_error(errno_value, std::generic_category()), cause_and_fix_(std::move(cause_and_fix)) {}

}  // namespace weir
