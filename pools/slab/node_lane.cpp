#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/fatal.h"
#include "cache/magazines.h"
#include "cache/threads.h"
#include "slab/pool_state.h"

// Lending from a node that the caller names.

namespace weir {

NodeLane Pool::lane(std::size_t bytes, int node) {
  const std::uint64_t here = lane_for(bytes);
  const std::uint64_t index = state_->index_of_node(node);
  return {*this, here + index * detail::kLanesPerNode * detail::kMagazineBytes};
}

detail::LoanParts NodeLane::lend_slowly() noexcept {
  const std::uint64_t index = lane_ / detail::kMagazineBytes;
  return pool_->state_->lend_on(index / detail::kLanesPerNode, index % detail::kLanesPerNode);
}

namespace detail {

std::size_t PoolState::index_of_node(int node) const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->node() != node) continue;
    if (limits_.lends[i] && options_.placement == Placement::local) return i;
    break;
  }
  throw Error(EINVAL, "the pool '" + options_.name + "' has no buffers of node " + std::to_string(node) +
                          " alone: see WEIR_NODES and WEIR_PLACEMENT in `weir env`, and the nodes in `weir stat`");
}

LoanParts PoolState::lend_on(std::size_t node, std::size_t lane) noexcept {
  if (lane < first_lane_ || lane >= first_lane_ + classes_.count()) return {};  // no class is as large
  if (is_fork_child()) base::fatal("lend in a child of fork, which has none of its parent's buffers: exec there first");
  Depot& here = depot(node, lane - first_lane_);
  Magazine* magazine = own_magazine(here);
  for (const bool reclaiming : {false, true}) {
    if (reclaiming) (void)flush();
    if (reclaiming) reclaim_for(node);
    if (magazine != nullptr && here.refill(*magazine)) return {magazine->pop(), magazine->lane, magazine->bytes};
    const LoanParts loan = lend_from(here);
    if (loan.data != nullptr) return loan;
  }
  here.record().empty.fetch_add(1, std::memory_order_relaxed);
  note_exhausted(here);
  return {};
}

}  // namespace detail
}  // namespace weir
