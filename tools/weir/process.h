#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::tool {

/// A process as /proc shows it.
struct Process {
  pid_t id = 0;
  std::string name;
  bool ended = false;  ///< a zombie: only its parent has not noticed yet
  uid_t user = 0;
  std::uint32_t own_id = 0;  ///< what it calls itself: in a container, another number than `id`
};

/// Empty when there is no such process.
std::optional<Process> find_process(pid_t id);

std::vector<pid_t> all_processes();

}  // namespace weir::tool
