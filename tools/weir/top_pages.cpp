#include "top_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/units.h"
#include "grade_text.h"
#include "human.h"
#include "terminal.h"

namespace weir::tool {
namespace {

using base::format_size;
using Align = Table::Align;
using MaybeRates = std::optional<Rates>;

std::string number(std::uint64_t count) { return format_count(static_cast<double>(count)); }

std::string rate(const MaybeRates& rates, Counter counter) { return rates ? format_count((*rates)[counter]) : "-"; }

/// A sum is known when all of its parts are.
MaybeRates added(const MaybeRates& sum, const MaybeRates& part) {
  if (!sum || !part) return std::nullopt;
  Rates all = *sum;
  all += *part;
  return all;
}

/// The receivers of a pool, and what they did since.
struct Receivers {
  std::vector<ReceiverRow> rows;
  std::vector<MaybeRates> rates;

  Receivers(const Sample& before, const Sample& now, std::uint32_t pool_slot) {
    for (const ReceiverRow& row : now.snapshot.receivers) {
      if (row.pool_slot != pool_slot) continue;
      rows.push_back(row);
      rates.push_back(rates_of(before.snapshot, row, seconds_between(before, now)));
    }
  }

  MaybeRates sum() const {
    MaybeRates all = Rates{};
    for (const MaybeRates& each : rates) all = added(all, each);
    return all;
  }
};

/// Receivers of one strategy.
struct StrategyRow {
  Connections connections;
  MaybeRates rates = Rates{};
};

std::string strategy_of(const ReceiverRow& row) { return row.strategy + (row.chosen ? " (auto)" : ""); }

std::vector<std::string> receiving_cells(const Connections& connections, const MaybeRates& rates) {
  return {number(connections.all),        number(connections.idle),       number(connections.parked),
          rate(rates, Counter::receives), rate(rates, Counter::bytes),    rate(rates, Counter::enobufs),
          rate(rates, Counter::wakes),    rate(rates, Counter::reclaimed)};
}

/// What receiving_cells are under.
std::vector<Table::Column> receiving_columns(std::vector<Table::Column> first) {
  for (const char* title : {"conns", "idle", "parked", "recv/s", "B/s", "nobufs/s", "wakes/s", "reclaim/s"}) {
    first.push_back({title});
  }
  return first;
}

void add(Table& table, std::vector<std::string> first, const std::vector<std::string>& rest) {
  first.insert(first.end(), rest.begin(), rest.end());
  table.add(std::move(first));
}

Page strategies_page(const Receivers& receivers) {
  std::map<std::string, StrategyRow> strategies;
  for (std::size_t i = 0; i < receivers.rows.size(); ++i) {
    StrategyRow& sum = strategies[strategy_of(receivers.rows[i])];
    sum.connections += connections_of({receivers.rows[i]});
    sum.rates = added(sum.rates, receivers.rates[i]);
  }
  Table table(receiving_columns({{"strategy", Align::left}}));
  for (const auto& [name, sum] : strategies) {
    add(table, {name}, receiving_cells(sum.connections, sum.rates));
  }
  return {"strategies", table.lines()};
}

Page receivers_page(const Receivers& receivers) {
  Table table(receiving_columns({{"thread"}, {"strategy", Align::left}}));
  for (std::size_t i = 0; i < receivers.rows.size(); ++i) {
    const ReceiverRow& row = receivers.rows[i];
    add(table, {std::to_string(row.thread), strategy_of(row)},
        receiving_cells(connections_of({row}), receivers.rates[i]));
  }
  return {"receivers", table.lines()};
}

/// The same row of a pool as it was; nullptr when there was none.
const NodeRow* node_before(const PoolView* pool, std::size_t node) {
  return pool != nullptr && node < pool->nodes.size() ? &pool->nodes[node] : nullptr;
}

MaybeRates rates_since(const Tally* before, const Tally& now, double seconds) {
  return rates_between(before != nullptr ? totals_of(*before) : Totals{}, totals_of(now), seconds);
}

Page classes_page(const PoolView* before, const PoolView& pool, double seconds) {
  Table table({{"node"},
               {"buffer"},
               {"lends/s"},
               {"refill/s"},
               {"empty/s"},
               {"user"},
               {"ring"},
               {"req"},
               {"cached"},
               {"free"},
               {"all"},
               {"high"}});
  for (std::size_t node = 0; node < pool.nodes.size(); ++node) {
    const NodeRow* const old_node = node_before(before, node);
    const auto& classes = pool.nodes[node].classes;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      const Tally& tally = classes[i].tally;
      if (!classes[i].used()) continue;
      const bool was_there = old_node != nullptr && i < old_node->classes.size();
      const MaybeRates rates = rates_since(was_there ? &old_node->classes[i].tally : nullptr, tally, seconds);
      const Counts& counts = tally.counts;
      std::vector<std::string> cells{
          std::to_string(pool.nodes[node].node),
          format_size(classes[i].bytes) + (classes[i].alignment >= base::kSmallPage ? " page" : ""),
          rate(rates, Counter::lends), rate(rates, Counter::refills), rate(rates, Counter::empty)};
      for (const std::uint64_t count : {counts.user, counts.kernel_ring, counts.kernel_request, counts.cached,
                                        counts.free, counts.capacity, tally.high_water}) {
        cells.push_back(number(count));
      }
      table.add(std::move(cells));
    }
  }
  return {"classes", table.lines()};
}

/// The memory of a node: how much, and the grade of what is worst.
std::vector<std::string> memory_cells(const PoolView& pool, int node) {
  std::uint64_t bytes = 0;
  const Grade* worst = nullptr;
  for (const Grade& arena : pool.arenas) {
    if (arena.node != node) continue;
    bytes += arena.bytes;
    if (worst == nullptr || (worst->reason.empty() && !arena.reason.empty())) worst = &arena;
  }
  return {format_size(bytes), worst != nullptr ? grade_text(*worst) : "-"};
}

Page nodes_page(const PoolView* before, const PoolView& pool, double seconds) {
  Table table({{"node"}, {"lends/s"}, {"refill/s"}, {"empty/s"}, {"memory"}, {"of the grade", Align::left}});
  for (std::size_t i = 0; i < pool.nodes.size(); ++i) {
    const NodeRow* const old = node_before(before, i);
    const Tally old_tally = old != nullptr ? old->tally() : Tally{};
    const MaybeRates rates = rates_since(&old_tally, pool.nodes[i].tally(), seconds);
    add(table,
        {std::to_string(pool.nodes[i].node), rate(rates, Counter::lends), rate(rates, Counter::refills),
         rate(rates, Counter::empty)},
        memory_cells(pool, pool.nodes[i].node));
  }
  return {"nodes", table.lines()};
}

Page rings_page(const PoolView& pool) {
  Table table({{"group"}, {"node"}, {"buffer"}, {"slots"}, {"filled"}, {"ready"}});
  for (const RingRow& ring : pool.rings) {
    table.add({std::to_string(ring.group), std::to_string(ring.node), format_size(ring.buffer_bytes),
               std::to_string(ring.entries), std::to_string(ring.filled),
               format_size(ring.filled * ring.buffer_bytes)});
  }
  return {"rings", table.lines()};
}

}  // namespace

std::vector<Page> pages_of(const Sample& before, const Sample& now, std::size_t pool) {
  const PoolView& view = now.snapshot.pools[pool];
  const PoolView* const old = find_same(before.snapshot, view);
  const double seconds = seconds_between(before, now);
  const Receivers receivers(before, now, view.slot);
  return {strategies_page(receivers), classes_page(old, view, seconds), nodes_page(old, view, seconds),
          rings_page(view), receivers_page(receivers)};
}

std::vector<std::string> summary_of(const Sample& before, const Sample& now, std::size_t pool) {
  const PoolView& view = now.snapshot.pools[pool];
  const Receivers receivers(before, now, view.slot);
  const Connections connections = connections_of(receivers.rows);
  const MaybeRates rates = added(rates_of(before.snapshot, view, seconds_between(before, now)), receivers.sum());
  const auto part = rates ? hits(*rates) : std::nullopt;
  const auto of = [&](Counter counter) { return rate(rates, counter); };
  return {fmt::format("receives {}/s   bytes {}/s   lends {}/s   hits {}   refills {}/s   flushes {}/s",
                      of(Counter::receives), of(Counter::bytes), of(Counter::lends),
                      part ? fmt::format("{:.0f}%", 100 * *part) : "-", of(Counter::refills), of(Counter::flushes)),
          fmt::format("connections {}   idle {}   parked {}", number(connections.all), number(connections.idle),
                      number(connections.parked)),
          fmt::format("empty lends {}/s   ENOBUFS {}/s   wakes {}/s   reclaimed {}/s", of(Counter::empty),
                      of(Counter::enobufs), of(Counter::wakes), of(Counter::reclaimed))};
}

}  // namespace weir::tool
