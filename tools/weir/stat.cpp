#include <fmt/format.h>

#include <cstdio>

#include "commands.h"
#include "save.h"
#include "snapshot.h"
#include "stat_print.h"

namespace weir::tool {

void run_stat(const Target& target, bool json, const std::string& save_path) {
  const OpenTarget open = open_target(target);
  const Snapshot snapshot = look_at(open);
  if (!save_path.empty()) {
    open.reader->read_borrows();
    save_segment(*open.reader, find_slab_files(target, open), save_path);
  }
  fmt::print("{}", json ? stat_json(snapshot) : stat_text(snapshot));
}

}  // namespace weir::tool
