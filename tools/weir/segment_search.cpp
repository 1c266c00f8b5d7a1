#include "segment_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "failure.h"
#include "os/segment_file.h"
#include "segment_reader.h"

namespace weir::tool {
namespace {

namespace fs = std::filesystem;

bool is_named(const fs::path& link, const char* name) {
  std::error_code error;
  return fs::read_symlink(link, error) == fmt::format("/memfd:{} (deleted)", name);
}

/// The process's own segment: a child of fork has its parent's open too.
File open_segment(const Process& process, std::error_code& error) {
  for (File& file : open_memory_files(process, os::kSegmentFileName, error)) {
    if (owner_of_segment(file) == process.own_id) return std::move(file);
  }
  return {};
}

}  // namespace

std::vector<File> open_memory_files(const Process& process, const char* name, std::error_code& error) {
  std::vector<File> files;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", process.id), error)) {
    if (!is_named(entry.path(), name)) continue;
    if (File file(entry.path().string()); file) files.push_back(std::move(file));
  }
  return files;
}

Holders find_holders() {
  Holders holders;
  for (const pid_t id : all_processes()) {
    auto process = find_process(id);
    if (!process) continue;
    std::error_code error;
    if (File segment = open_segment(*process, error)) {
      holders.found.push_back({std::move(*process), std::move(segment)});
    } else if (error == std::errc::permission_denied) {
      ++holders.not_permitted;
    }
  }
  std::sort(holders.found.begin(), holders.found.end(),
            [](const Holder& a, const Holder& b) { return a.process.id < b.process.id; });
  return holders;
}

Holder find_holder(pid_t id) {
  auto process = find_process(id);
  if (!process) throw Failure(fmt::format("there is no process {}: `weir ls` lists those that have pools", id));
  if (process->ended) throw Failure(fmt::format("process {} ({}) has ended", id, process->name));
  std::error_code error;
  File segment = open_segment(*process, error);
  if (segment) return {std::move(*process), std::move(segment)};
  if (error == std::errc::permission_denied) {
    throw Failure(fmt::format("process {} ({}) is of user {}, and you may not look into it: try `sudo weir stat {}`",
                              id, process->name, process->user, id));
  }
  throw Failure(
      fmt::format("process {} ({}) has no pool: is it linked with weir, and has it made a weir::Pool? "
                  "`weir ls` lists those that have",
                  id, process->name));
}

}  // namespace weir::tool
