#include "slab/pool_state.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "base/fatal.h"
#include "base/units.h"
#include "core/counts.h"
#include "core/magazines.h"
#include "core/options.h"
#include "core/threads.h"
#include "os/numa.h"

namespace weir::detail {
namespace {

// A magazine holds at most a sixty-fourth of what the node has, so that eight threads hide at most an eighth from
// the others; and a pool too small for that gives every buffer straight to its depot.
constexpr std::size_t kMagazineShare = 64;
constexpr std::size_t kLeastMagazine = 4;
constexpr std::size_t kMostMagazine = 64;

std::uint32_t magazine_capacity(std::size_t node_bytes, std::uint32_t bytes) {
  const std::size_t share = node_bytes / bytes / kMagazineShare;
  return share < kLeastMagazine ? 0 : static_cast<std::uint32_t>(std::min(share, kMostMagazine));
}

std::size_t nodes_in_use() { return std::min<std::size_t>(os::memory_nodes().size(), kMaxNodes); }

std::size_t bytes_of_node(const Options& options) {
  const std::size_t share = (options.bytes + nodes_in_use() - 1) / nodes_in_use();
  return base::round_up(share, share >= base::kHugePage ? base::kHugePage : options.slab_bytes);
}

const Options& validated(const Options& options) {
  if (is_fork_child())
    throw Error(ENOTSUP, "a child of fork cannot make a pool when its parent had one: exec there first");
  validate(options);
  return options;
}

bool lanes_overlap(const PoolRecord& pool, std::uint32_t first, std::size_t count) {
  return pool.live != 0 && first < pool.first_lane + pool.class_count && pool.first_lane < first + count;
}

/// A pool record with lanes of its own; the last lane of a node is nobody's.
PoolRecord* take_pool_record(const Options& options) {
  PoolRecord* record = take_record(segment().pools);
  if (record == nullptr) throw Error(EMFILE, "this process has 16 pools already: share them between its parts");
  const std::lock_guard lock(registry_mutex());
  const std::size_t count = options.classes.size();
  for (std::uint32_t first = 0; first + count < kLanesPerNode; ++first) {
    const auto& pools = segment().pools;
    if (std::any_of(pools.begin(), pools.end(), [&](auto& pool) { return lanes_overlap(pool, first, count); }))
      continue;
    record->first_lane = first;
    record->class_count = static_cast<std::uint32_t>(count);
    options.name.copy(record->name.data(), record->name.size() - 1);
    return record;
  }
  record->live = 0;
  throw Error(EMFILE, "the pools of this process have 255 size classes together: give WEIR_CLASSES fewer");
}

}  // namespace

PoolState::PoolState(const Options& options)
    : options_(validated(options)),
      classes_(options_.classes, options_.slab_bytes),
      node_bytes_(bytes_of_node(options_)),
      reservation_(std::make_unique<Reservation>(node_bytes_ * nodes_in_use())),
      record_(take_pool_record(options_)),
      first_lane_(record_->first_lane) {
  map_nodes();
  make_depots();
}

PoolState::~PoolState() {
  retire();
  refuse_loans_out();
}

void PoolState::retire() noexcept {
  for (const auto& depot : depots_) depot->retire();
}

void PoolState::keep_for_ever(std::unique_ptr<PoolState> pool) {
  static std::vector<std::unique_ptr<PoolState>>& kept = *new std::vector<std::unique_ptr<PoolState>>;
  pool->retire();
  const std::lock_guard lock(registry_mutex());
  kept.push_back(std::move(pool));
}

void PoolState::map_nodes() {
  const std::vector<int>& nodes = os::memory_nodes();
  for (std::size_t i = 0; i < nodes_in_use(); ++i) {
    std::byte* base = reservation_->base() + i * node_bytes_;
    arenas_.push_back(map_arena(base, node_bytes_, nodes[i], options_));
    publish(arenas_.back());
    stocks_.push_back(std::make_unique<NodeStock>(options_.slab_bytes));
    stocks_.back()->add_memory(base, node_bytes_);
  }
}

void PoolState::publish(const Arena& arena) {
  ArenaRecord* record = take_record(segment().arenas);
  if (record == nullptr) return;  // 128 are shown; the rest is not
  const Grade& grade = arena.grade;
  record->pool = id();
  record->node = grade.node;
  record->bytes = grade.bytes;
  record->page_bytes = grade.page_bytes;
  record->huge_tlb = grade.huge_tlb;
  record->populated = grade.populated;
  record->locked = grade.locked;
  record->bound = grade.bound;
  grade.reason.copy(record->reason.data(), record->reason.size() - 1);
  arena_records_.emplace_back(record);
}

void PoolState::make_depots() {
  for (std::uint32_t node = 0; node < node_count(); ++node) {
    for (std::uint32_t i = 0; i < classes_.count(); ++i) {
      depots_.push_back(std::make_unique<Depot>(*stocks_[node], classes_[i], lane_index_of(*record_, node, i),
                                                node_bytes_ / options_.slab_bytes,
                                                magazine_capacity(node_bytes_, classes_[i].bytes)));
    }
  }
}

std::uint32_t PoolState::id() const { return static_cast<std::uint32_t>(&*record_ - segment().pools.data()); }

Depot& PoolState::home_depot(std::size_t class_index) noexcept {
  return depot(std::min<std::size_t>(rehome_thread(), node_count() - 1), class_index);
}

LoanParts PoolState::lend(std::size_t class_index) noexcept {
  if (is_fork_child()) base::fatal("lend in a child of fork, which has none of its parent's buffers: exec there first");
  Depot& home = home_depot(class_index);
  Magazine* magazine = own_magazine(home);
  if (magazine != nullptr && refill(*magazine, home)) return {magazine->pop(), magazine->lane, magazine->bytes};
  for (const unsigned node : os::nearest_first(home.lane_index() / kLanesPerNode)) {
    if (node >= node_count()) continue;
    const LoanParts loan = lend_from(depot(node, class_index));
    if (loan.data != nullptr) return loan;
  }
  home.record().empty.fetch_add(1, std::memory_order_relaxed);
  return {};
}

LoanParts PoolState::lend_from(Depot& depot) noexcept {
  std::byte* buffer = nullptr;
  if (depot.take({&buffer, 1}) == 0) return {};
  depot.record().lends.fetch_add(1, std::memory_order_relaxed);
  return {buffer, depot.lane(), depot.bytes()};
}

std::byte* PoolState::take_pages(std::size_t bytes) {
  for (const unsigned node : os::nearest_first(rehome_thread())) {
    if (node >= node_count()) continue;
    if (std::byte* pages = stocks_[node]->take_pages(bytes)) return pages;
  }
  return nullptr;
}

void PoolState::give_pages(std::byte* where, std::size_t bytes) {
  const auto node = static_cast<std::size_t>(where - reservation_->base()) / node_bytes_;
  stocks_[node]->give_pages(where, bytes);
}

void PoolState::add_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  holders_.push_back(&holder);
}

void PoolState::remove_holder(const KernelHolder& holder) {
  const std::lock_guard lock(holders_mutex_);
  std::erase(holders_, &holder);
}

Counts PoolState::counts() const { return counts_of_pool(segment(), *record_); }

void PoolState::refuse_loans_out() const {
  for (const auto& depot : depots_) {
    const Counts counts = counts_of_lane(segment(), depot->lane_index());
    if (counts.user == 0 && counts.kernel_ring == 0 && counts.kernel_request == 0) continue;
    if (counts.user > counts.capacity) {
      base::fatal("pool '%s': buffers of %" PRIu32
                  " bytes were returned more often than lent: two parts of the program "
                  "held one",
                  options_.name.c_str(), depot->bytes());
    }
    base::fatal("pool '%s' destroyed while buffers of %" PRIu32 " bytes are out: %" PRIu64 " with users, %" PRIu64
                " with the kernel; drop all loans and rings before the pool",
                options_.name.c_str(), depot->bytes(), counts.user, counts.kernel_ring + counts.kernel_request);
  }
}

}  // namespace weir::detail
