#include <nlohmann/json.hpp>

#include "grade_text.h"
#include "stat_print.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

void put_tally(Json& to, const Tally& tally) {
  const Counts& counts = tally.counts;
  to["capacity"] = counts.capacity;
  to["free"] = counts.free;
  to["cached"] = counts.cached;
  to["user"] = counts.user;
  to["kernel_ring"] = counts.kernel_ring;
  to["kernel_request"] = counts.kernel_request;
  to["law"] = tally.settled ? "holds" : "moving";
  to["high_water"] = tally.high_water;
  to["lends"] = tally.lends;
  to["empty"] = tally.empty;
  to["refills"] = tally.refills;
  to["flushes"] = tally.flushes;
}

/// A list of what `convert` makes of each.
template <typename Rows, typename Convert>
Json list(const Rows& rows, Convert convert) {
  Json all = Json::array();
  for (const auto& row : rows) all.push_back(convert(row));
  return all;
}

Json of_arena(const Grade& grade) {
  return {{"node", grade.node},
          {"bytes", grade.bytes},
          {"page_bytes", grade.page_bytes},
          {"grade", grade_text(grade)},
          {"reason", grade.reason}};
}

Json of_class(const ClassRow& row) {
  Json json{{"bytes", row.bytes}, {"alignment", row.alignment}, {"slab_bytes", row.slab_bytes}};
  put_tally(json, row.tally);
  return json;
}

Json of_node(const NodeRow& row) {
  Json json{{"node", row.node}};
  put_tally(json, row.tally());
  json["classes"] = list(row.classes, of_class);
  return json;
}

Json of_ring(const RingRow& row) {
  return {{"node", row.node},
          {"buffer_bytes", row.buffer_bytes},
          {"group", row.group},
          {"entries", row.entries},
          {"filled", row.filled}};
}

Json of_pool(const PoolView& pool) {
  Json json{{"name", pool.name}};
  put_tally(json, pool.tally());
  json["mapped_bytes"] = pool.mapped_bytes();
  json["slab_bytes"] = pool.slab_bytes();
  json["buffer_bytes"] = pool.buffer_bytes();
  json["arenas"] = list(pool.arenas, of_arena);
  json["nodes"] = list(pool.nodes, of_node);
  json["rings"] = list(pool.rings, of_ring);
  return json;
}

Json of_receiver(const ReceiverRow& row) {
  return {{"pool", row.pool},
          {"thread", row.thread},
          {"strategy", row.strategy},
          {"chosen", row.chosen},
          {"connections", row.connections},
          {"parked", row.parked},
          {"idle", row.idle},
          {"receives", row.receives},
          {"bytes", row.bytes},
          {"enobufs", row.enobufs},
          {"wakes", row.wakes},
          {"cancels", row.cancels},
          {"reclaimed", row.reclaimed}};
}

}  // namespace

std::string stat_json(const Snapshot& snapshot) {
  Json json{{"pid", snapshot.pid}, {"program", snapshot.program}};
  put_tally(json, snapshot.tally());
  json["pools"] = list(snapshot.pools, of_pool);
  json["receivers"] = list(snapshot.receivers, of_receiver);
  return json.dump() + "\n";
}

}  // namespace weir::tool
