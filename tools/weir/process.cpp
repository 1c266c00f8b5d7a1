#include "process.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "text.h"

namespace weir::tool {
namespace {

std::optional<pid_t> parse_id(std::string_view text) {
  pid_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return id;
}

/// One line of /proc/PID/status.
void take_field(Process& process, const std::string& name, std::istringstream& values) {
  if (name == "Name:") {
    std::getline(values >> std::ws, process.name);
    process.name = printable(process.name);
  } else if (name == "State:") {
    char state = 0;
    values >> state;
    process.ended = state == 'Z' || state == 'X';
  } else if (name == "Uid:") {
    values >> process.user;
  } else if (name == "NSpid:") {
    while (values >> process.own_id) {  // one a namespace, the innermost last
    }
  }
}

}  // namespace

std::optional<Process> find_process(pid_t id) {
  std::ifstream status("/proc/" + std::to_string(id) + "/status");
  if (!status) return std::nullopt;
  Process process{.id = id, .name = {}};
  for (std::string line; std::getline(status, line);) {
    std::istringstream values(line);
    std::string name;
    values >> name;
    take_field(process, name, values);
  }
  return process;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    if (const auto id = parse_id(entry.path().filename().string())) ids.push_back(*id);
  }
  return ids;
}

}  // namespace weir::tool
