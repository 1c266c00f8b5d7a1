#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "map_print.h"

namespace weir::tool {
namespace {

using Json = nlohmann::ordered_json;

void put_shares(Json& to, const Shares& shares) {
  to["free"] = shares.free;
  to["cached"] = shares.cached;
  to["user_or_request"] = shares.lent;
  to["kernel_ring"] = shares.ring;
}

Json of_cell(const PoolLayout& pool, const Cell& cell) {
  static constexpr std::array kKinds{"slab", "free", "ring_entries"};
  Json json{{"address", fmt::format("{:#x}", cell.address)},
            {"bytes", cell.bytes},
            {"kind", kKinds[static_cast<std::size_t>(cell.kind)]}};
  if (cell.kind != Cell::Kind::slab) return json;
  json["buffer_bytes"] = pool.classes[cell.size_class].bytes;
  json["alignment"] = pool.classes[cell.size_class].alignment;
  json["buffers"] = cell.shares.sum();
  put_shares(json, cell.shares);
  return json;
}

Json of_pool(const PoolLayout& pool) {
  Json json{{"name", pool.name}, {"classes", Json::array()}, {"arenas", Json::array()}};
  for (const ClassLayout& each : pool.classes) {
    Json& added =
        json["classes"].emplace_back(Json{{"bytes", each.bytes}, {"alignment", each.alignment}, {"slabs", each.slabs}});
    put_shares(added, each.shares);
  }
  for (const ArenaLayout& arena : pool.arenas) {
    Json& added = json["arenas"].emplace_back(Json{{"node", arena.node},
                                                   {"address", fmt::format("{:#x}", arena.address)},
                                                   {"bytes", arena.bytes},
                                                   {"cells", Json::array()}});
    for (const Cell& cell : arena.cells) added["cells"].push_back(of_cell(pool, cell));
  }
  return json;
}

}  // namespace

std::string map_json(const Layout& layout) {
  Json json{{"pid", layout.pid}, {"program", layout.program}, {"pools", Json::array()}};
  for (const PoolLayout& pool : layout.pools) json["pools"].push_back(of_pool(pool));
  return json.dump() + "\n";
}

}  // namespace weir::tool
