#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "core/options.h"
#include "terminal.h"

namespace weir::tool {

void run_env(bool json) {
  const std::vector<OptionLine> options = describe_options();
  if (json) {
    auto all = nlohmann::ordered_json::array();
    for (const OptionLine& option : options) {
      all.push_back({{"name", option.name},
                     {"value", option.value},
                     {"source", option.source},
                     {"form", option.form},
                     {"meaning", option.meaning}});
    }
    fmt::print("{}\n", all.dump());
    return;
  }
  for (const OptionLine& option : options) {
    fmt::print("{} ({})\n  {}\n  takes {}\n", bold(option.name + "=" + option.value), option.source, option.meaning,
               option.form);
  }
}

}  // namespace weir::tool
