#pragma once

#include <string>

namespace weir::tool {

enum class Health { ok, degraded, broken };

const char* name_of(Health health);

/// What is to be said of one thing.
struct Finding {
  Health health = Health::ok;
  std::string what;
  std::string fact;
  std::string meaning;  ///< for weir; may be empty where all is well
  std::string fix;      ///< the command; empty where all is well, or there is none
};

}  // namespace weir::tool
