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
  constexpr auto left = Table::Align::left;
  Table table({{"name", left}, {"value", left}, {"source", left}, {"meaning", left}});
  for (const OptionLine& option : options) {
    table.add({option.name, option.value, option.source, option.meaning});
    table.add({"", "", "", "takes " + option.form});
  }
  fmt::print("{}", table.text());
}

}  // namespace weir::tool
