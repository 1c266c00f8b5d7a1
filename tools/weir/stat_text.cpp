#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "grade_text.h"
#include "stat_print.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using base::format_size;
using Align = Table::Align;

std::string law_line(const Tally& tally) {
  const Counts& counts = tally.counts;
  return fmt::format("  law     {} = {} free + {} cached + {} user + {} kernel ring + {} kernel request   {}\n",
                     counts.capacity, counts.free, counts.cached, counts.user, counts.kernel_ring,
                     counts.kernel_request, tally.settled ? green("holds") : yellow("moving"));
}

std::string memory_lines(const PoolView& pool) {
  std::string lines;
  for (const Grade& arena : pool.arenas) {
    lines += fmt::format("  memory  {} on node {}: {}\n", format_size(arena.bytes), arena.node, grade_text(arena));
    if (!arena.reason.empty()) lines += fmt::format("          {}\n", yellow(arena.reason));
  }
  return lines;
}

std::string slab_line(const PoolView& pool) {
  const std::uint64_t slabs = pool.slab_bytes();
  const std::uint64_t buffers = std::min(pool.buffer_bytes(), slabs);
  return fmt::format("  slabs   {} given to size classes, {} of it between and behind buffers\n", format_size(slabs),
                     format_size(slabs - buffers));
}

std::string ring_line(const PoolView& pool) {
  if (pool.rings.empty()) return {};
  std::uint64_t entries = 0;
  std::uint64_t filled = 0;
  std::uint64_t bytes = 0;
  for (const RingRow& ring : pool.rings) {
    entries += ring.entries;
    filled += ring.filled;
    bytes += ring.filled * ring.buffer_bytes;
  }
  return fmt::format("  rings   {}, with {} of {} slots filled: {} ready for the kernel\n", pool.rings.size(), filled,
                     entries, format_size(bytes));
}

std::vector<std::string> class_cells(const NodeRow& node, const ClassRow& row) {
  const Counts& counts = row.tally.counts;
  std::vector<std::string> cells{std::to_string(node.node),
                                 format_size(row.bytes) + (row.alignment >= 4096 ? " page" : "")};
  for (const std::uint64_t count : {counts.capacity, counts.free, counts.cached, counts.user, counts.kernel_ring,
                                    counts.kernel_request, row.tally.high_water, row.tally.lends, row.tally.empty}) {
    cells.push_back(std::to_string(count));
  }
  return cells;
}

std::string class_table(const PoolView& pool) {
  Table table({{"node"},
               {"buffer"},
               {"capacity"},
               {"free"},
               {"cached"},
               {"user"},
               {"ring"},
               {"request"},
               {"high water"},
               {"lends"},
               {"empty"}});
  std::size_t used = 0;
  std::size_t unused = 0;
  for (const NodeRow& node : pool.nodes) {
    for (const ClassRow& row : node.classes) {
      if (row.used()) table.add(class_cells(node, row));
      ++(row.used() ? used : unused);
    }
  }
  std::string text = used > 0 ? "\n" + table.text("  ") : "";
  if (unused > 0) text += fmt::format("  {} {} never used\n", unused, unused == 1 ? "class was" : "classes were");
  return text;
}

std::string receiver_table(const std::vector<ReceiverRow>& receivers) {
  if (receivers.empty()) return {};
  Table table({{"receiver's thread"},
               {"pool", Align::left},
               {"strategy", Align::left},
               {"connections"},
               {"parked"},
               {"idle"},
               {"receives"},
               {"bytes"},
               {"ENOBUFS"},
               {"wakes"},
               {"cancels"},
               {"reclaimed"}});
  for (const ReceiverRow& row : receivers) {
    table.add({std::to_string(row.thread), row.pool, row.strategy + (row.chosen ? " (auto)" : ""),
               std::to_string(row.connections), std::to_string(row.parked), std::to_string(row.idle),
               std::to_string(row.receives), format_size(row.bytes), std::to_string(row.enobufs),
               std::to_string(row.wakes), std::to_string(row.cancels), std::to_string(row.reclaimed)});
  }
  return "\n" + table.text();
}

}  // namespace

std::string stat_text(const Snapshot& snapshot) {
  std::string text = bold(fmt::format("{}, process {}", snapshot.program, snapshot.pid)) + "\n";
  if (snapshot.pools.empty()) text += "\nno pool at the moment\n";
  for (const PoolView& pool : snapshot.pools) {
    text += fmt::format("\npool {}\n", bold(pool.name));
    text += law_line(pool.tally()) + memory_lines(pool) + slab_line(pool) + ring_line(pool) + class_table(pool);
  }
  return text + receiver_table(snapshot.receivers);
}

}  // namespace weir::tool
