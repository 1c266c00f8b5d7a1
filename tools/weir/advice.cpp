#include "advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <optional>

#include "base/units.h"
#include "grade_text.h"
#include "options/strategies.h"

namespace weir::tool {
namespace {

using base::format_size;
using base::kMiB;
using Ring = detail::StrategyFacts::Ring;

constexpr double kMostBytes = 4096.0 * 1024 * kMiB;
constexpr double kReserve = 1.25;         // beyond the peak that was seen
constexpr std::uint64_t kTelling = 1000;  // receives from which on their mean says something
constexpr double kOften = 0.01;           // of receives: what is more seldom costs nothing to speak of
constexpr std::uint64_t kMostEntries = 32768;
constexpr std::uint64_t kLeastEntries = 64;

/// A pool, its receivers, and what of it is asked more than once. In doubles: whatever a segment says, sums do not
/// overflow.
struct Subject {
  const PoolView& pool;
  std::vector<ReceiverRow> receivers;
  double mapped = 0;
  double given = 0;  ///< to size classes
  std::uint64_t empty = 0;
  std::uint64_t lends = 0;
  std::uint64_t parked = 0;
  std::vector<Advice>& advice;

  void add(std::string finding, std::string effect, std::string line) const {
    advice.push_back({pool.name, std::move(finding), std::move(effect), std::move(line)});
  }
};

std::uint64_t whole(double bytes) { return static_cast<std::uint64_t>(std::clamp(bytes, 0.0, kMostBytes)); }

std::string size_text(double bytes) { return format_size(whole(bytes)); }

/// In whole huge pages on each node.
std::string bytes_line(const Subject& subject, double bytes) {
  const double step = static_cast<double>(base::kHugePage * std::max<std::size_t>(subject.pool.nodes.size(), 1));
  return fmt::format("export WEIR_BYTES={}m", whole(std::ceil(bytes / step) * step) / kMiB);
}

std::optional<detail::StrategyFacts> facts_of(const ReceiverRow& receiver) {
  const auto strategy = strategy_named(receiver.strategy);
  if (!strategy || *strategy == Strategy::automatic) return {};
  return detail::facts_of(*strategy);
}

/// Of a pool's receivers by strategies with (or without) such rings, added up. Slices' rings have other numbers of
/// buffers than WEIR_RING_ENTRIES says.
ReceiverRow sum_of(const Subject& subject, bool lazy) {
  ReceiverRow sum;
  for (const ReceiverRow& each : subject.receivers) {
    const auto facts = facts_of(each);
    if (!facts || facts->ring == Ring::none || facts->ring == Ring::slice || facts->lazy != lazy) continue;
    sum.strategy = each.strategy;
    sum.connections = std::max(sum.connections, each.connections);
    sum.receives += each.receives;
    sum.bytes += each.bytes;
    sum.enobufs += each.enobufs;
  }
  return sum;
}

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

/// Memory of the most buffers that were ever out of the depot: with slabs and without regard to time, so rather too
/// much.
double peak_of(const PoolView& pool) {
  double peak = 0;
  for (const NodeRow& node : pool.nodes) {
    for (const ClassRow& row : node.classes) {
      const double each = row.tally.counts.capacity > 0
                              ? static_cast<double>(row.slab_bytes) / static_cast<double>(row.tally.counts.capacity)
                              : row.bytes;
      peak += std::max(each, static_cast<double>(row.bytes)) * static_cast<double>(row.tally.high_water);
    }
  }
  return peak;
}

void advise_on_shortage(const Subject& subject) {
  if (subject.empty == 0 && subject.parked == 0) return;
  std::string finding = fmt::format("{} lends found no buffer, {} were served", subject.empty, subject.lends);
  if (subject.parked > 0) finding += fmt::format("; {} connections have data and wait for a buffer", subject.parked);
  const bool is_out = subject.given > 0.9 * subject.mapped;
  finding += fmt::format("; {} of {} are given to size classes", size_text(subject.given), size_text(subject.mapped));
  const std::string effect =
      is_out ? "twice the memory; how much was missing is not counted, so look again then"
             : "twice the memory, if it was out before now; else look for a limit in WEIR_CLASS_MAX_BYTES";
  subject.add(finding, effect, bytes_line(subject, 2 * subject.mapped));
}

void advise_on_excess(const Subject& subject) {
  if (subject.empty > 0 || subject.parked > 0 || subject.lends == 0) return;
  const double peak = peak_of(subject.pool);
  const double slabs = static_cast<double>(base::kHugePage * std::max<std::size_t>(subject.pool.nodes.size(), 1));
  const double enough = kReserve * peak + slabs;
  if (enough > subject.mapped / 2) return;
  subject.add(fmt::format("at most {} of {} were ever in use, and no lend found nothing", size_text(peak),
                          size_text(subject.mapped)),
              "less memory, with a quarter to spare; it knows of no peak that has not come yet",
              bytes_line(subject, enough));
}

/// The one with most slots. Rings are filled by demand: slots are the most that one may hold, `filled` what it holds.
std::optional<RingRow> ring_of(const PoolView& pool) {
  const auto largest = std::ranges::max_element(pool.rings, {}, &RingRow::entries);
  if (largest == pool.rings.end()) return {};
  return *largest;
}

/// Of all rings' buffers, if each had as many as `buffers_of` says.
template <typename BuffersOf>
double ring_bytes(const PoolView& pool, BuffersOf buffers_of) {
  double bytes = 0;
  for (const RingRow& ring : pool.rings)
    bytes += static_cast<double>(buffers_of(ring)) * static_cast<double>(ring.buffer_bytes);
  return bytes;
}

/// Some ring may have fewer buffers than it has slots: all of them have equal parts of half of the memory.
bool memory_limits_rings(const Subject& subject) {
  const double part = subject.mapped / 2 / static_cast<double>(subject.pool.rings.size());
  return std::ranges::any_of(subject.pool.rings, [&](const RingRow& ring) {
    return part < static_cast<double>(ring.entries) * ring.buffer_bytes;
  });
}

void advise_on_small_rings(const Subject& subject) {
  const ReceiverRow sum = sum_of(subject, false);
  const auto ring = ring_of(subject.pool);
  const double rate = share(sum.enobufs, sum.receives);
  if (!ring || sum.enobufs < 10 || rate < kOften || subject.empty > 0 || ring->entries >= kMostEntries) return;
  const std::string finding =
      fmt::format("{} receives found the ring of up to {} buffers empty, for {} that brought data ({:.1f} %)",
                  sum.enobufs, ring->entries, sum.receives, 100 * rate);
  if (memory_limits_rings(subject)) {
    subject.add(finding,
                "fewer of them: the rings in use share half of the memory, which is less than their slots take",
                bytes_line(subject, 2 * subject.mapped));
    return;
  }
  const std::uint64_t entries = std::bit_ceil(2 * std::uint64_t{std::max(ring->entries, 1U)});
  const double more = ring_bytes(subject.pool, [&](const RingRow& each) { return entries - each.entries; });
  const bool has_room = subject.mapped - subject.given >= more;
  subject.add(finding,
              fmt::format("fewer of them; rings may take {} more, which the pool {}", size_text(more),
                          has_room ? "has" : "has not: " + bytes_line(subject, subject.mapped + more) + " too"),
              fmt::format("export WEIR_RING_ENTRIES={}", entries));
}

void advise_on_large_rings(const Subject& subject) {
  const ReceiverRow sum = sum_of(subject, false);
  const auto ring = ring_of(subject.pool);
  if (!ring || sum.enobufs > 0 || sum.receives < kTelling) return;
  const std::uint64_t connections = std::min(sum.connections, kMostEntries / 2);
  const std::uint64_t entries = std::max(kLeastEntries, std::bit_ceil(2 * connections));
  const double less = ring_bytes(
      subject.pool, [&](const RingRow& each) { return each.filled - std::min<std::uint64_t>(entries, each.filled); });
  if (2 * entries > ring->entries || less < static_cast<double>(kMiB)) return;
  subject.add(fmt::format("rings hold {} for at most {} connections, of which none found them empty",
                          size_text(ring_bytes(subject.pool, std::mem_fn(&RingRow::filled))), sum.connections),
              fmt::format("{} less memory in rings; connections are those of now", size_text(less)),
              fmt::format("export WEIR_RING_ENTRIES={}", entries));
}

/// The pool's smallest class that holds so many bytes, or its largest.
std::uint32_t class_for(const PoolView& pool, double bytes) {
  std::uint32_t best = 0;
  for (const NodeRow& node : pool.nodes) {
    for (const ClassRow& row : node.classes) {
      if (row.alignment >= base::kSmallPage || row.bytes == 0) continue;
      const bool nearer = best < bytes ? row.bytes > best : row.bytes < best && row.bytes >= bytes;
      if (nearer) best = row.bytes;
    }
  }
  return best;
}

void advise_on_buffer_size(const Subject& subject) {
  const ReceiverRow sum = sum_of(subject, false);
  const auto ring = ring_of(subject.pool);
  const auto facts = facts_of(sum);
  const auto is_alike = [&](const RingRow& each) { return each.buffer_bytes == ring->buffer_bytes; };
  if (!ring || !facts || facts->ring != Ring::buffer || facts->sized || sum.receives < kTelling) return;
  if (ring->buffer_bytes == 0 || !std::ranges::all_of(subject.pool.rings, is_alike)) return;
  const double mean = static_cast<double>(sum.bytes) / static_cast<double>(sum.receives);
  const bool small = mean * 8 <= ring->buffer_bytes;
  const std::uint32_t better = class_for(subject.pool, small ? 4 * mean : 2.0 * ring->buffer_bytes);
  // Streams fill most buffers, but for their ends; buffers that are all full are of messages of just that size.
  const double filled = mean / std::max(ring->buffer_bytes, 1U);
  const bool full = filled > 0.9 && filled < 0.995 && better > ring->buffer_bytes;
  if ((!small || better >= ring->buffer_bytes) && !full) return;
  const double held = ring_bytes(subject.pool, std::mem_fn(&RingRow::filled));
  const std::string holds =
      fmt::format("rings hold {} rather than {}", size_text(held / ring->buffer_bytes * better), size_text(held));
  subject.add(
      fmt::format("a receive brings {} on average, in buffers of {}", size_text(mean), format_size(ring->buffer_bytes)),
      small ? holds + "; what is larger comes in several pieces, and how often is not known from the mean"
            : "fewer receives for the same data, if it comes in larger pieces, which is not known; " + holds,
      fmt::format("export WEIR_RECV_BYTES={}", better));
}

/// The sizes of the pool's classes for WEIR_CLASSES, one of them replaced.
std::string classes_with(const NodeRow& node, std::uint32_t old_size, std::uint32_t new_size) {
  std::string list;
  for (const ClassRow& row : node.classes) {
    if (row.alignment >= base::kSmallPage) continue;
    list += (list.empty() ? "" : ",") + std::to_string(row.bytes == old_size ? new_size : row.bytes);
  }
  return list;
}

/// A size of which one more fits into the largest slab.
std::uint32_t size_with_one_more(std::uint32_t bytes) {
  constexpr std::uint32_t kLine = 64;
  constexpr auto kSlab = static_cast<std::uint32_t>(base::kHugePage);
  return kSlab / (kSlab / bytes + 1) / kLine * kLine;
}

/// Sizes that fill their slabs badly.
void advise_on_classes(const Subject& subject) {
  for (const NodeRow& node : subject.pool.nodes) {
    for (const ClassRow& row : node.classes) {
      const auto slabs = static_cast<double>(row.slab_bytes);
      const double lost = slabs - static_cast<double>(row.tally.counts.capacity) * row.bytes;
      const bool is_line = row.alignment < base::kSmallPage && row.bytes > 0 && row.bytes <= base::kHugePage;
      if (!is_line || lost < slabs / 8 || lost < static_cast<double>(kMiB)) continue;
      const std::uint32_t better = size_with_one_more(row.bytes);
      subject.add(
          fmt::format("buffers of {} leave {} of their {} in slabs unused", row.bytes, size_text(lost),
                      size_text(slabs)),
          fmt::format("one buffer more in each slab, if you lend no more than {} bytes: that is not known", better),
          "export WEIR_CLASSES=" + classes_with(node, row.bytes, better));
    }
  }
}

void advise_on_lazy_rings(const Subject& subject) {
  const ReceiverRow sum = sum_of(subject, true);
  if (sum.receives < kTelling || share(sum.enobufs, sum.receives) < 0.5) return;
  const auto facts = facts_of(sum);
  subject.add(
      fmt::format("{} of {} receives were tried a second time, as the lazy ring was empty", sum.enobufs, sum.receives),
      "one try for each, for a ring that is kept full",
      fmt::format("export WEIR_RECV={}", facts && facts->sized ? "ring_sized" : "ring"));
}

/// Buffers that wait with the kernel for data.
void advise_on_waiting_buffers(const Subject& subject) {
  double bytes = 0;
  std::uint64_t buffers = 0;
  for (const NodeRow& node : subject.pool.nodes) {
    for (const ClassRow& row : node.classes) {
      buffers += row.tally.counts.kernel_request;
      bytes += static_cast<double>(row.tally.counts.kernel_request) * row.bytes;
    }
  }
  const auto waits = [](const ReceiverRow& row) {
    const auto strategy = strategy_named(row.strategy);
    return strategy == Strategy::direct || strategy == Strategy::poll_first;
  };
  const auto receiver = std::ranges::find_if(subject.receivers, waits);
  if (receiver == subject.receivers.end() || bytes < static_cast<double>(kMiB)) return;
  subject.add(fmt::format("{} buffers, {}, wait with the kernel for data, by the strategy {}", buffers,
                          size_text(bytes), receiver->strategy),
              "connections wait without a buffer unless data comes often", "export WEIR_RECV=poll_adaptive");
}

void advise_on_idle(const Subject& subject) {
  std::uint64_t receives = 0;
  std::uint64_t reclaimed = 0;
  for (const ReceiverRow& each : subject.receivers) {
    receives += each.receives;
    reclaimed += each.reclaimed;
  }
  if (receives < kTelling || share(reclaimed, receives) < 0.5) return;
  subject.add(
      fmt::format("{} receives of idle connections were cancelled, for {} that brought data", reclaimed, receives),
      "fewer cancels, if those connections speak again within 10 s", "export WEIR_IDLE=10000");
}

void advise_on_memory(const Subject& subject) {
  for (const Grade& arena : subject.pool.arenas) {
    if (arena.reason.empty()) continue;
    subject.add(fmt::format("{} on node {} are {}", format_size(arena.bytes), arena.node, grade_text(arena)),
                arena.reason, "weir doctor");
  }
}

Subject subject_of(const PoolView& pool, const Snapshot& snapshot, std::vector<Advice>& advice) {
  Subject subject{.pool = pool, .receivers = {}, .advice = advice};
  for (const ReceiverRow& each : snapshot.receivers) {
    if (each.pool_slot != pool.slot) continue;
    subject.receivers.push_back(each);
    subject.parked += each.parked;
  }
  const Tally tally = pool.tally();
  subject.empty = tally.empty;
  subject.lends = tally.lends;
  for (const Grade& arena : pool.arenas) subject.mapped += static_cast<double>(arena.bytes);
  for (const NodeRow& node : pool.nodes) {
    for (const ClassRow& row : node.classes) subject.given += static_cast<double>(row.slab_bytes);
  }
  return subject;
}

std::uint64_t grown(std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; }

/// What was counted in a class since then.
void take_off(PoolView& pool, const PoolView& before) {
  for (std::size_t i = 0; i < std::min(pool.nodes.size(), before.nodes.size()); ++i) {
    auto& classes = pool.nodes[i].classes;
    const auto& then = before.nodes[i].classes;
    for (std::size_t k = 0; k < std::min(classes.size(), then.size()); ++k) {
      classes[k].tally.lends = grown(classes[k].tally.lends, then[k].tally.lends);
      classes[k].tally.empty = grown(classes[k].tally.empty, then[k].tally.empty);
    }
  }
}

void take_off(ReceiverRow& receiver, const ReceiverRow& before) {
  for (const auto count : {&ReceiverRow::receives, &ReceiverRow::bytes, &ReceiverRow::enobufs, &ReceiverRow::wakes,
                           &ReceiverRow::cancels, &ReceiverRow::reclaimed}) {
    receiver.*count = grown(receiver.*count, before.*count);
  }
}

}  // namespace

std::vector<Advice> advise(const Snapshot& snapshot) {
  std::vector<Advice> advice;
  for (const PoolView& pool : snapshot.pools) {
    const Subject subject = subject_of(pool, snapshot, advice);
    for (const auto rule :
         {advise_on_shortage, advise_on_excess, advise_on_small_rings, advise_on_large_rings, advise_on_buffer_size,
          advise_on_classes, advise_on_lazy_rings, advise_on_waiting_buffers, advise_on_idle, advise_on_memory}) {
      rule(subject);
    }
  }
  return advice;
}

Snapshot since(const Snapshot& later, const Snapshot& earlier) {
  Snapshot window = later;
  for (PoolView& pool : window.pools) {
    const auto same = [&](const PoolView& each) { return each.slot == pool.slot && each.name == pool.name; };
    const auto before = std::ranges::find_if(earlier.pools, same);
    if (before != earlier.pools.end()) take_off(pool, *before);
  }
  for (ReceiverRow& receiver : window.receivers) {
    const auto same = [&](const ReceiverRow& each) {
      return each.slot == receiver.slot && each.strategy == receiver.strategy &&
             each.own_thread == receiver.own_thread && each.pool_slot == receiver.pool_slot;
    };
    const auto before = std::ranges::find_if(earlier.receivers, same);
    if (before != earlier.receivers.end()) take_off(receiver, *before);
  }
  return window;
}

}  // namespace weir::tool
