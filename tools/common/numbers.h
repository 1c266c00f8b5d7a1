#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): theirs
class Validator;
}

namespace weir::common {

/// For an option that takes a number: refuses all others than these, and what is no number, as "nan".
CLI::Validator from_to(double least, double most);

/// Text that somebody typed, fit to stand within a line: what is not printable ASCII becomes a question mark, and much
/// of it is cut.
std::string shown(std::string text);

}  // namespace weir::common
