#include "target.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "failure.h"
#include "segment_search.h"

namespace weir::tool {
namespace {

[[noreturn]] void refuse_none(const Holders& holders, const std::string& command) {
  std::string text = "no process has a pool: is the server running, and is it linked with weir?";
  if (holders.not_permitted > 0) text += fmt::format(" {} processes were left out", holders.not_permitted);
  if (holders.hidden) text += " Processes of other users are hidden by /proc (hidepid)";
  if (holders.not_permitted > 0 || holders.hidden) text += ": you may not look into them; " + who_may(command);
  throw Failure(text);
}

[[noreturn]] void refuse_several(const std::vector<Holder>& found) {
  std::string text = "several processes have pools, so give a PID:";
  for (const auto& holder : found) text += fmt::format("\n  {}    {}", holder.process.id, holder.process.name);
  throw Failure(text, kExitUsage);
}

Holder only_holder(const std::string& command) {
  Holders holders = find_holders();
  if (holders.found.empty()) refuse_none(holders, command);
  if (holders.found.size() > 1) refuse_several(holders.found);
  return std::move(holders.found.front());
}

OpenTarget open_process(Holder holder) {
  const std::string name = fmt::format("the segment of process {}", holder.process.id);
  auto reader = std::make_unique<SegmentReader>(std::move(holder.segment), name);
  return {std::move(reader), std::move(holder.process)};
}

OpenTarget open_file(const std::string& path) {
  File file(path);
  if (!file) throw Failure(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  const bool is_copy = file.has_name();  // a process's own has none
  auto reader = std::make_unique<SegmentReader>(std::move(file), path);
  return {std::move(reader), {}, is_copy};
}

}  // namespace

OpenTarget open_target(const Target& target) {
  if (!target.segment_path.empty()) return open_file(target.segment_path);
  return open_process(target.pid ? find_holder(*target.pid, target.command) : only_holder(target.command));
}

Snapshot look_at(const OpenTarget& target) {
  Snapshot snapshot = take_snapshot(*target.reader);
  if (!target.process) return snapshot;
  snapshot.pid = static_cast<std::uint32_t>(target.process->id);
  const auto numbers = thread_numbers(*target.process);
  for (ReceiverRow& row : snapshot.receivers) {
    if (const auto here = numbers.find(row.own_thread); here != numbers.end()) row.thread = here->second;
  }
  return snapshot;
}

void require_process(const OpenTarget& open) {
  if (!open.is_copy) return;
  throw Failure(
      "a saved copy does not change: give a PID to look more than once, or see the copy by `weir stat --segment FILE`");
}

}  // namespace weir::tool
