#pragma once

#include <weir/options.h>

#include <string>
#include <vector>

#include "options/environment.h"

namespace weir {

/// One line of `weir env`.
struct OptionLine {
  std::string name;    ///< the variable
  std::string value;   ///< effective; what was given, where that is refused
  std::string source;  ///< "default" or "environment"
  std::string form;    ///< what is accepted
  std::string meaning;
  std::string fault;  ///< why it is refused, and the fix; empty: it is accepted
};

/// Every option, as a process with these variables has it.
std::vector<OptionLine> describe_options(const Environment& environment);

/// A WEIR_* variable that is no option.
struct UnknownVariable {
  std::string name;
  std::string nearest;  ///< the option that was probably meant; empty: none is near
};
std::vector<UnknownVariable> unknown_variables(const Environment& environment);

/// Throws Error, naming the option and the fix, when the options cannot make a pool.
void validate(const Options& options);

const char* name_of(Pages pages);

}  // namespace weir
