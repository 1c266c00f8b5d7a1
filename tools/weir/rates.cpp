#include "rates.h"

#include <algorithm>

namespace weir::tool {
namespace {

bool is_same(const PoolView& one, const PoolView& other) { return one.slot == other.slot && one.name == other.name; }

bool is_same(const ReceiverRow& one, const ReceiverRow& other) {
  return one.slot == other.slot && one.own_thread == other.own_thread && one.pool_slot == other.pool_slot;
}

/// Among those that lived, or that had ended.
template <typename Row>
const Row* find_same(const std::vector<Row>& live, const std::vector<Row>& ended, const Row& row) {
  for (const std::vector<Row>* rows : {&live, &ended}) {
    const auto same = std::find_if(rows->begin(), rows->end(), [&](const Row& other) { return is_same(row, other); });
    if (same != rows->end()) return &*same;
  }
  return nullptr;
}

/// Adds the rows' rates up. False when one has none.
template <typename Rows>
bool add_rates(Rates& sum, const Snapshot& before, const Rows& rows, double seconds) {
  return std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
    const auto rates = rates_of(before, row, seconds);
    if (rates) sum += *rates;
    return rates.has_value();
  });
}

}  // namespace

Totals totals_of(const Tally& tally) {
  Totals totals;
  totals[Counter::lends] = tally.lends;
  totals[Counter::magazine_lends] = tally.magazine_lends;
  totals[Counter::ring_lends] = tally.ring_lends;
  totals[Counter::empty] = tally.empty;
  totals[Counter::refills] = tally.refills;
  totals[Counter::flushes] = tally.flushes;
  return totals;
}

Totals totals_of(const PoolView& pool) { return totals_of(pool.tally()); }

Totals totals_of(const ReceiverRow& row) {
  Totals totals;
  totals[Counter::receives] = row.receives;
  totals[Counter::bytes] = row.bytes;
  totals[Counter::enobufs] = row.enobufs;
  totals[Counter::wakes] = row.wakes;
  totals[Counter::reclaimed] = row.reclaimed;
  return totals;
}

std::optional<Rates> rates_between(const Totals& before, const Totals& now, double seconds) {
  if (seconds <= 0) return std::nullopt;
  Rates rates;
  for (std::size_t i = 0; i < kCounterNames.size(); ++i) {
    const auto counter = static_cast<Counter>(i);
    if (now[counter] < before[counter]) return std::nullopt;
    rates[counter] = static_cast<double>(now[counter] - before[counter]) / seconds;
  }
  return rates;
}

const PoolView* find_same(const Snapshot& before, const PoolView& pool) {
  return find_same(before.pools, before.ended_pools, pool);
}

const ReceiverRow* find_same(const Snapshot& before, const ReceiverRow& row) {
  return find_same(before.receivers, before.ended_receivers, row);
}

std::optional<Rates> rates_of(const Snapshot& before, const Snapshot& now, double seconds) {
  Rates sum;
  const bool all = seconds > 0 && add_rates(sum, before, now.pools, seconds) &&
                   add_rates(sum, before, now.ended_pools, seconds) && add_rates(sum, before, now.receivers, seconds) &&
                   add_rates(sum, before, now.ended_receivers, seconds);
  return all ? std::optional(sum) : std::nullopt;
}

std::optional<double> hits(const Rates& rates) {
  const double magazines = rates[Counter::magazine_lends];
  if (magazines <= 0) return std::nullopt;
  const double lends = std::max(rates[Counter::lends] - rates[Counter::ring_lends], magazines);
  return std::clamp((magazines - rates[Counter::refills]) / lends, 0.0, 1.0);
}

}  // namespace weir::tool
