#include "target.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "failure.h"
#include "segment_search.h"

namespace weir::tool {
namespace {

[[noreturn]] void refuse_none(std::size_t not_permitted) {
  std::string text = "no process has a pool: is the server running, and is it linked with weir?";
  if (not_permitted > 0) text += " Processes of other users were left out: try it with `sudo`";
  throw Failure(text);
}

[[noreturn]] void refuse_several(const std::vector<Holder>& found) {
  std::string text = "several processes have pools, so give a PID:";
  for (const auto& holder : found) text += fmt::format("\n  {}    {}", holder.process.id, holder.process.name);
  throw Failure(text, kExitUsage);
}

Holder only_holder() {
  Holders holders = find_holders();
  if (holders.found.empty()) refuse_none(holders.not_permitted);
  if (holders.found.size() > 1) refuse_several(holders.found);
  return std::move(holders.found.front());
}

OpenTarget open_process(Holder holder) {
  const std::string name = fmt::format("the segment of process {}", holder.process.id);
  auto reader = std::make_unique<SegmentReader>(std::move(holder.segment), name);
  return {std::move(reader), holder.process.id};
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
  return open_process(target.pid ? find_holder(*target.pid) : only_holder());
}

void require_process(const OpenTarget& open) {
  if (!open.is_copy) return;
  throw Failure(
      "a saved copy does not change: give a PID to look more than once, or see the copy by `weir stat --segment FILE`");
}

}  // namespace weir::tool
