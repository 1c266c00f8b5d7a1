#include "options/environment.h"

#include <unistd.h>

#include <algorithm>

namespace weir {
namespace {

/// Of two with one name the first counts, as for getenv().
void add(Environment& environment, std::string_view line) {
  const std::size_t equals = line.find('=');
  if (!line.starts_with("WEIR_") || equals == std::string_view::npos) return;
  environment.emplace(line.substr(0, equals), line.substr(equals + 1));
}

}  // namespace

Environment own_environment() {
  Environment environment;
  for (char** line = environ; line != nullptr && *line != nullptr; ++line) add(environment, *line);
  return environment;
}

Environment parse_environment(std::string_view block) {
  Environment environment;
  while (!block.empty()) {
    const std::string_view line = block.substr(0, block.find('\0'));
    add(environment, line);
    block.remove_prefix(std::min(block.size(), line.size() + 1));
  }
  return environment;
}

}  // namespace weir
