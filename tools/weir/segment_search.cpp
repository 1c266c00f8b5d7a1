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

/// The process's own segment: a child of fork has its parent's open too.
File open_segment(const Process& process, std::error_code& error) {
  for (File& file : open_memory_files(process, os::kSegmentFileName, error)) {
    if (owner_of_segment(file) == process.own_id) return std::move(file);
  }
  return {};
}

}  // namespace

std::vector<File> open_memory_files(const Process& process, const char* name, std::error_code& error) {
  const std::string wanted = fmt::format("/memfd:{} (deleted)", name);
  std::vector<File> files;
  fs::directory_iterator entry(process.file("fd"), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code unreadable;
    const bool named = fs::read_symlink(entry->path(), unreadable) == wanted;
    if (is_refusal(unreadable)) {  // who may list them may not always follow them
      error = unreadable;
      break;
    }
    if (!named) continue;
    if (File file(entry->path().string()); file) files.push_back(std::move(file));
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
  throw Failure(who +
                " has no pool: is it linked with weir, and has it made a weir::Pool? `weir ls` lists those that have");
}

}  // namespace weir::tool
