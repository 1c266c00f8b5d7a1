#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "file.h"
#include "process.h"

namespace weir::tool {

/// A process that has a segment.
struct Holder {
  Process process;
  File segment;
};

struct Holders {
  std::vector<Holder> found;      ///< ascending by PID
  std::size_t not_permitted = 0;  ///< processes that could not be looked into
  bool hidden = false;            ///< there may be others, which /proc does not show
};

/// The process's memfds that may be of that name and may be opened, whoever made them: those that it has open, else,
/// for root, those that it maps. `error` says why there are none.
std::vector<File> open_memory_files(const Process& process, const char* name, std::error_code& error);

Holders find_holders();

/// Throws Failure: no such process, no permission, or it has no segment. `command` is the subcommand that asks.
Holder find_holder(pid_t id, const std::string& command);

}  // namespace weir::tool
