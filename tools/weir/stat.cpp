#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "commands.h"
#include "failure.h"
#include "segment_search.h"
#include "snapshot.h"
#include "stat_print.h"

namespace weir::tool {
namespace {

[[noreturn]] void refuse_none(std::size_t not_permitted) {
  std::string text = "no process has a pool: is the server running, and is it linked with weir?";
  if (not_permitted > 0) text += " Processes of other users were left out: try `sudo weir stat`";
  throw Failure(text);
}

[[noreturn]] void refuse_several(const std::vector<Holder>& found) {
  std::string text = "several processes have pools, so give a PID:";
  for (const auto& holder : found)
    text += fmt::format("\n  weir stat {}    {}", holder.process.id, holder.process.name);
  throw Failure(text, kExitUsage);
}

Holder only_holder() {
  Holders holders = find_holders();
  if (holders.found.empty()) refuse_none(holders.not_permitted);
  if (holders.found.size() > 1) refuse_several(holders.found);
  return std::move(holders.found.front());
}

Snapshot snapshot_of(Holder holder) {
  SegmentReader reader(std::move(holder.segment), fmt::format("the segment of process {}", holder.process.id));
  Snapshot snapshot = take_snapshot(reader);
  snapshot.pid = static_cast<std::uint32_t>(holder.process.id);
  return snapshot;
}

Snapshot snapshot_of(const std::string& path) {
  File file(path);
  if (!file) throw Failure(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  SegmentReader reader(std::move(file), path);
  return take_snapshot(reader);
}

Snapshot snapshot_of(const StatTarget& target) {
  if (!target.segment_path.empty()) return snapshot_of(target.segment_path);
  return snapshot_of(target.pid ? find_holder(*target.pid) : only_holder());
}

}  // namespace

void run_stat(const StatTarget& target, bool json) {
  const Snapshot snapshot = snapshot_of(target);
  fmt::print("{}", json ? stat_json(snapshot) : stat_text(snapshot));
}

}  // namespace weir::tool
