#include "segment_search.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "failure.h"
#include "os/segment_file.h"
#include "segment_reader.h"

namespace weir::tool {
namespace {

namespace fs = std::filesystem;

/// The file's, or that of shared memory, which has no name of its own.
bool may_be_named(const fs::path& target, const char* name) {
  return target == fmt::format("/memfd:{} (deleted)", name) || target == os::kSharedMemoryName;
}

std::vector<File> files_in(const std::string& folder, const char* name, std::error_code& error) {
  std::vector<File> files;
  std::set<File::Identity> seen;  // a file is mapped in several parts
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code unreadable;
    const fs::path target = fs::read_symlink(entry->path(), unreadable);
    if (is_refusal(unreadable)) {  // who may list them may not always follow them
      error = unreadable;
      break;
    }
    if (!may_be_named(target, name)) continue;
    if (File file(entry->path().string()); file && seen.insert(file.identity()).second)
      files.push_back(std::move(file));
  }
  return files;
}

/// The process maps what may be a segment: who may not open it there sees so much.
bool maps_segment(const Process& process) {
  std::ifstream maps(process.file("maps"));
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(fmt::format("/memfd:{} (deleted)", os::kSegmentFileName)) ||
        line.ends_with(os::kSharedMemoryName))
      return true;
  }
  return false;
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
  std::vector<File> files = files_in(process.file("fd"), name, error);
  if (!files.empty() || error) return files;
  std::error_code refused;  // of who is not root
  return files_in(fmt::format("/proc/{}/map_files", process.id), name, refused);
}

Holders find_holders() {
  Holders holders;
  for (const pid_t id : all_processes()) {
    auto process = find_process(id);
    if (!process) continue;
    std::error_code error;
    if (File segment = open_segment(*process, error)) {
      holders.found.push_back({std::move(*process), std::move(segment)});
    } else if (is_refusal(error)) {
      ++holders.not_permitted;
    }
  }
  holders.hidden = hides_processes();
  std::sort(holders.found.begin(), holders.found.end(),
            [](const Holder& a, const Holder& b) { return a.process.id < b.process.id; });
  return holders;
}

Holder find_holder(pid_t id, const std::string& command) {
  Process process = living_process(id, command);
  std::error_code error;
  File segment = open_segment(process, error);
  if (segment) return {std::move(process), std::move(segment)};
  if (is_refusal(error)) refuse_look(process, command);
  const std::string who = fmt::format("process {} ({})", process.id, process.name);
  if (!find_process(process.id)) throw Failure(who + " has ended");
  if (error) throw Failure(fmt::format("cannot look into {}: {}", who, error.message()));
  if (geteuid() != 0 && maps_segment(process)) {
    throw Failure(
        who +
        " may have a pool, but no descriptor of its segment: it closed what it did not know, or has a limit on the "
        "size of files; root finds it still, so try it with `sudo`");
  }
  throw Failure(who +
                " has no pool: is it linked with weir, and has it made a weir::Pool? `weir ls` lists those that have");
}

}  // namespace weir::tool
