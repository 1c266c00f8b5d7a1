#include "metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <initializer_list>
#include <utility>

#include "grade_text.h"

namespace weir::tool {
namespace {

using detail::Field;
using detail::field_named;
using detail::FieldKind;

using Labels = std::initializer_list<std::pair<std::string_view, std::string>>;

/// Of what is what by its field: kind, unit and meaning are those of the table.
struct Metric {
  std::string_view name;
  FieldKind kind;
  std::string_view unit;
  std::string_view help;

  constexpr Metric(std::string_view of, const Field& field)
      : name(of), kind(field.kind), unit(field.unit), help(field.meaning) {}
  constexpr Metric(std::string_view of, FieldKind its_kind, std::string_view its_unit, std::string_view its_help)
      : name(of), kind(its_kind), unit(its_unit), help(its_help) {}
};

template <typename Row>
struct RowMetric {
  Metric metric;
  std::uint64_t (*value)(const Row&);
};

constexpr Metric kBuffers{"weir_pool_buffers", FieldKind::gauge, "", "buffers by who holds them"};
constexpr Metric kMemory{"weir_pool_memory_bytes", field_named("arena", "bytes")};
constexpr Metric kDegraded{"weir_pool_degraded_memory_bytes", FieldKind::gauge, "bytes",
                           "memory that is less than what was asked for: smaller pages, not locked, of another node"};

constexpr Metric kOldestLoan{"weir_pool_oldest_loan_seconds", FieldKind::gauge, "seconds",
                             "age of the oldest loan, where borrowers are noted (WEIR_TRACE=1)"};

constexpr std::array<std::pair<const char*, std::uint64_t Counts::*>, 5> kHolders{
    {{"free", &Counts::free},
     {"cached", &Counts::cached},
     {"user", &Counts::user},
     {"kernel_ring", &Counts::kernel_ring},
     {"kernel_request", &Counts::kernel_request}}};

constexpr std::array kOfClasses{
    RowMetric<ClassRow>{{"weir_pool_buffer_size_bytes", field_named("lane", "bytes")},
                        [](const ClassRow& row) { return std::uint64_t{row.bytes}; }},
    RowMetric<ClassRow>{{"weir_pool_slab_bytes", FieldKind::gauge, "bytes", "memory that was cut into buffers"},
                        [](const ClassRow& row) { return row.slab_bytes; }},
    RowMetric<ClassRow>{{"weir_pool_capacity_buffers", field_named("lane", "capacity")},
                        [](const ClassRow& row) { return row.tally.counts.capacity; }},
    RowMetric<ClassRow>{{"weir_pool_high_water_buffers", field_named("lane", "high_water")},
                        [](const ClassRow& row) { return row.tally.high_water; }},
    RowMetric<ClassRow>{{"weir_pool_lends", FieldKind::counter, "", "buffers lent, those from buffer rings counted"},
                        [](const ClassRow& row) { return row.tally.lends; }},
    RowMetric<ClassRow>{{"weir_pool_empty_lends", field_named("lane", "empty")},
                        [](const ClassRow& row) { return row.tally.empty; }},
    RowMetric<ClassRow>{{"weir_pool_refills", field_named("lane", "refills")},
                        [](const ClassRow& row) { return row.tally.refills; }},
    RowMetric<ClassRow>{{"weir_pool_flushes", field_named("lane", "flushes")},
                        [](const ClassRow& row) { return row.tally.flushes; }},
};

constexpr std::array kOfRings{
    RowMetric<RingRow>{{"weir_ring_slots", field_named("ring", "entries")},
                       [](const RingRow& row) { return std::uint64_t{row.entries}; }},
    RowMetric<RingRow>{{"weir_ring_filled_slots", field_named("ring", "filled")},
                       [](const RingRow& row) { return row.filled; }},
};

constexpr std::array kOfReceivers{
    RowMetric<ReceiverRow>{{"weir_receiver_connections", field_named("receiver", "connections")},
                           [](const ReceiverRow& row) { return row.connections; }},
    RowMetric<ReceiverRow>{{"weir_receiver_parked_connections", field_named("receiver", "parked")},
                           [](const ReceiverRow& row) { return row.parked; }},
    RowMetric<ReceiverRow>{{"weir_receiver_idle_connections", field_named("receiver", "idle")},
                           [](const ReceiverRow& row) { return row.idle; }},
    RowMetric<ReceiverRow>{{"weir_receiver_receives", field_named("receiver", "receives")},
                           [](const ReceiverRow& row) { return row.receives; }},
    RowMetric<ReceiverRow>{{"weir_receiver_received_bytes", field_named("receiver", "bytes")},
                           [](const ReceiverRow& row) { return row.bytes; }},
    RowMetric<ReceiverRow>{{"weir_receiver_enobufs", field_named("receiver", "enobufs")},
                           [](const ReceiverRow& row) { return row.enobufs; }},
    RowMetric<ReceiverRow>{{"weir_receiver_wakes", field_named("receiver", "wakes")},
                           [](const ReceiverRow& row) { return row.wakes; }},
    RowMetric<ReceiverRow>{{"weir_receiver_cancels", field_named("receiver", "cancels")},
                           [](const ReceiverRow& row) { return row.cancels; }},
    RowMetric<ReceiverRow>{{"weir_receiver_reclaimed", field_named("receiver", "reclaimed")},
                           [](const ReceiverRow& row) { return row.reclaimed; }},
};

std::string escaped(const std::string& text) {
  std::string result;
  for (const char each : text) {
    if (each == '\\' || each == '"') result += '\\';
    result += each;
  }
  return result;
}

std::string text_of(Labels labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, escaped(value));
  }
  return text;
}

MetricFamily family_of(const Metric& metric) {
  return {metric.name, metric.kind == FieldKind::counter, metric.unit, metric.help, {}};
}

/// What a record is does not add up.
void add(MetricFamily& family, FieldKind kind, const std::string& labels, std::uint64_t value) {
  std::uint64_t& sample = family.samples[labels];
  sample = kind == FieldKind::identity ? value : sample + value;
}

/// The buffers' size and, where it is not a cache line, their alignment.
std::string class_text(const ClassRow& row) {
  return std::to_string(row.bytes) + (row.alignment >= 4096 ? "-page" : "");
}

/// Calls `visit(pool, node, row)` for each class that was ever used.
template <typename Visit>
void for_classes(const std::vector<PoolView>& pools, Visit visit) {
  for (const PoolView& pool : pools) {
    for (const NodeRow& node : pool.nodes) {
      for (const ClassRow& row : node.classes) {
        if (row.used()) visit(pool, node, row);
      }
    }
  }
}

MetricFamily buffers_of(const Snapshot& snapshot) {
  MetricFamily family = family_of(kBuffers);
  for_classes(snapshot.pools, [&](const PoolView& pool, const NodeRow& node, const ClassRow& row) {
    for (const auto& [holder, count] : kHolders) {
      const Labels labels{
          {"pool", pool.name}, {"node", std::to_string(node.node)}, {"class", class_text(row)}, {"holder", holder}};
      add(family, kBuffers.kind, text_of(labels), row.tally.counts.*count);
    }
  });
  return family;
}

MetricFamily of_classes(const Snapshot& snapshot, const RowMetric<ClassRow>& what) {
  MetricFamily family = family_of(what.metric);
  const auto add_class = [&](const PoolView& pool, const NodeRow& node, const ClassRow& row) {
    const Labels labels{{"pool", pool.name}, {"node", std::to_string(node.node)}, {"class", class_text(row)}};
    add(family, what.metric.kind, text_of(labels), what.value(row));
  };
  for_classes(snapshot.pools, add_class);
  if (family.is_counter) for_classes(snapshot.ended_pools, add_class);
  return family;
}

MetricFamily of_rings(const Snapshot& snapshot, const RowMetric<RingRow>& what) {
  MetricFamily family = family_of(what.metric);
  for (const PoolView& pool : snapshot.pools) {
    for (const RingRow& row : pool.rings) {
      const Labels labels{{"pool", pool.name},
                          {"node", std::to_string(row.node)},
                          {"class", std::to_string(row.buffer_bytes)},
                          {"group", std::to_string(row.group)}};
      add(family, what.metric.kind, text_of(labels), what.value(row));
    }
  }
  return family;
}

MetricFamily of_receivers(const Snapshot& snapshot, const RowMetric<ReceiverRow>& what) {
  MetricFamily family = family_of(what.metric);
  const auto add_receiver = [&](const ReceiverRow& row) {
    const Labels labels{{"pool", row.pool}, {"thread", std::to_string(row.own_thread)}, {"strategy", row.strategy}};
    add(family, what.metric.kind, text_of(labels), what.value(row));
  };
  std::ranges::for_each(snapshot.receivers, add_receiver);
  if (family.is_counter) std::ranges::for_each(snapshot.ended_receivers, add_receiver);
  return family;
}

void add_memory(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  MetricFamily memory = family_of(kMemory);
  MetricFamily degraded = family_of(kDegraded);
  for (const PoolView& pool : snapshot.pools) {
    for (const Grade& arena : pool.arenas) {
      const std::string node = std::to_string(arena.node);
      const std::string grade = grade_text(arena);
      add(memory, kMemory.kind, text_of({{"pool", pool.name}, {"node", node}, {"grade", grade}}), arena.bytes);
      add(degraded, kDegraded.kind, text_of({{"pool", pool.name}, {"node", node}}),
          arena.reason.empty() ? 0 : arena.bytes);
    }
  }
  families.push_back(std::move(memory));
  families.push_back(std::move(degraded));
}

}  // namespace

std::vector<MetricFamily> metrics_of(const Snapshot& snapshot) {
  std::vector<MetricFamily> families;
  add_memory(snapshot, families);
  families.push_back(buffers_of(snapshot));
  for (const auto& what : kOfClasses) families.push_back(of_classes(snapshot, what));
  for (const auto& what : kOfRings) families.push_back(of_rings(snapshot, what));
  for (const auto& what : kOfReceivers) families.push_back(of_receivers(snapshot, what));
  return families;
}

MetricFamily oldest_loans_of(const Borrows& borrows) {
  MetricFamily family = family_of(kOldestLoan);
  for (const BorrowGroup& group : borrows.groups) {
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(group.oldest);
    std::uint64_t& sample = family.samples[text_of({{"pool", group.pool}})];
    sample = std::max(sample, static_cast<std::uint64_t>(age.count()));
  }
  return family;
}

std::string metrics_text(const std::vector<MetricFamily>& families, MetricFormat format) {
  const bool open = format == MetricFormat::openmetrics;
  std::string text;
  for (const MetricFamily& family : families) {
    const std::string sample = fmt::format("{}{}", family.name, family.is_counter ? "_total" : "");
    const std::string name = open ? std::string(family.name) : sample;
    text += fmt::format("# TYPE {} {}\n", name, family.is_counter ? "counter" : "gauge");
    if (open && !family.unit.empty()) text += fmt::format("# UNIT {} {}\n", name, family.unit);
    text += fmt::format("# HELP {} {}\n", name, family.help);
    for (const auto& [labels, value] : family.samples) text += fmt::format("{}{{{}}} {}\n", sample, labels, value);
  }
  return open ? text + "# EOF\n" : text;
}

}  // namespace weir::tool
