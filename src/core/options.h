#pragma once

#include <weir/options.h>

#include <string>
#include <vector>

namespace weir {

/// One line of `weir env`.
struct OptionLine {
  std::string name;    ///< the variable
  std::string value;   ///< effective
  std::string source;  ///< "default" or "environment"
  std::string form;    ///< what is accepted
  std::string meaning;
};

/// Every option with its effective value. Throws as Options::from_env() does.
std::vector<OptionLine> describe_options();

/// Throws Error, naming the option and the fix, when the options cannot make a pool.
void validate(const Options& options);

const char* name_of(Pages pages);

}  // namespace weir
