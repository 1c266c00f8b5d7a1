#include "os/file.h"

#include <cstdlib>
#include <utility>

namespace weir::os {

std::vector<std::string> lines_of(const std::string& path) {
  const File file(path.c_str());
  std::vector<std::string> lines;
  std::string line;
  char part[512];
  while (file && std::fgets(part, sizeof part, file.get()) != nullptr) {
    line += part;
    if (line.back() != '\n') continue;
    line.pop_back();
    lines.push_back(std::exchange(line, {}));
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

std::optional<std::string> line_of(const std::string& path, std::string_view key) {
  for (const std::string& line : lines_of(path)) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return {};
}

std::uint64_t number_of(const std::string& path, std::string_view key, int base) {
  return std::strtoull(line_of(path, key).value_or("").c_str(), nullptr, base);
}

}  // namespace weir::os
