#include "receive/request_buffers.h"

#include <utility>

#include "cache/depot.h"
#include "cache/threads.h"

namespace weir::detail {
namespace {

void count_requested(Depot& depot, std::uint64_t change) noexcept {
  if (Magazine* magazine = own_magazine(depot)) {
    add_alone(magazine->requested, change);
  } else {
    depot.record().requested.fetch_add(change, std::memory_order_relaxed);
  }
}

}  // namespace

RequestBuffers::RequestBuffers(PoolState& pool) : pool_(pool) { pool_.add_holder(*this); }

RequestBuffers::~RequestBuffers() { pool_.remove_holder(*this); }

void RequestBuffers::submit(std::uint32_t connection, Loan&& loan) noexcept {
  const LoanParts parts = LoanParts::take(std::move(loan));
  Depot& depot = *depot_of(parts.lane);
  probe::drop(parts.data);
  guard_drop(parts.data, parts.lane);
  if (LoanTracker* watch = depot.tracker()) watch->on_drop(parts.data, depot.bytes());
  count_requested(depot, 1);
  held_[connection] = parts;
  ++count_;
}

Loan RequestBuffers::finish(std::uint32_t connection) noexcept {
  const LoanParts parts = std::exchange(held_[connection], {});
  Depot& depot = *depot_of(parts.lane);
  probe::claim(parts.data, parts.size);
  guard_claim(parts.data, parts.lane);
  if (LoanTracker* watch = depot.tracker()) watch->on_lend(parts.data, depot.bytes());
  count_requested(depot, std::uint64_t{0} - 1);
  --count_;
  return parts.join();
}

void RequestBuffers::visit_held(const std::function<void(std::byte*)>& visit) const {
  for (const LoanParts& parts : held_) {
    if (parts.data != nullptr) visit(parts.data);
  }
}

}  // namespace weir::detail
