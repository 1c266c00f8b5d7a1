#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "commands.h"
#include "failure.h"
#include "segment_search.h"
#include "snapshot.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

/// A process with pools; `error` says why they cannot be read.
struct Entry {
  pid_t pid = 0;
  std::string program;
  std::vector<std::string> pools;
  std::uint64_t mapped_bytes = 0;
  std::string error;
};

Entry entry_of(Holder holder) {
  Entry entry{.pid = holder.process.id, .program = holder.process.name, .pools = {}, .error = {}};
  try {
    SegmentReader reader(std::move(holder.segment), "its segment");
    const Snapshot snapshot = take_snapshot(reader);
    entry.program = snapshot.program;
    for (const PoolView& pool : snapshot.pools) {
      entry.pools.push_back(pool.name);
      entry.mapped_bytes += pool.mapped_bytes();
    }
  } catch (const Failure& failure) {
    entry.error = failure.what();
  }
  return entry;
}

Json json_of(const Entry& entry) {
  Json json{{"pid", entry.pid}, {"program", entry.program}};
  if (!entry.error.empty()) {
    json["error"] = entry.error;
  } else {
    json["pools"] = entry.pools;
    json["mapped_bytes"] = entry.mapped_bytes;
  }
  return json;
}

std::string text_of(const std::vector<Entry>& entries) {
  Table table({{"PID"}, {"program", Table::Align::left}, {"memory"}, {"pools", Table::Align::left}});
  for (const Entry& entry : entries) {
    const bool readable = entry.error.empty();
    table.add({std::to_string(entry.pid), entry.program, readable ? base::format_size(entry.mapped_bytes) : "?",
               readable ? fmt::format("{}", fmt::join(entry.pools, ", ")) : entry.error});
  }
  return table.text();
}

}  // namespace

void run_ls(bool json) {
  Holders holders = find_holders();
  std::vector<Entry> entries;
  for (Holder& holder : holders.found) entries.push_back(entry_of(std::move(holder)));
  if (json) {
    Json all = Json::array();
    for (const Entry& entry : entries) all.push_back(json_of(entry));
    fmt::print("{}\n", all.dump());
    return;
  }
  fmt::print("{}", entries.empty() ? "no process has a pool\n" : text_of(entries));
  if (holders.not_permitted > 0) {
    fmt::print("{} processes were left out, because you may not look into them: {}\n", holders.not_permitted,
               who_may("ls"));
  }
  if (holders.hidden) fmt::print("/proc hides processes of other users (hidepid): {}\n", who_may("ls"));
}

}  // namespace weir::tool
