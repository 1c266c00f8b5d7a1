#include <weir/pool.h>

#include "base/fatal.h"
#include "cache/magazines.h"
#include "cache/slices.h"
#include "cache/threads.h"
#include "slab/helper.h"
#include "slab/pool_state.h"

namespace weir {

using detail::kNoLane;

Pool::Pool(const Options& options) : state_(std::make_unique<detail::PoolState>(options)) {
  const detail::SizeClasses& classes = state_->classes();
  for (std::size_t i = 0; i < lane_of_.size(); ++i) {
    lane_of_[i] = lane_of_class(classes.index_for(i * kSizeStep));
  }
  if (state_->needs_helper()) helper_ = std::make_unique<detail::Helper>(*state_);
}

Pool::~Pool() {
  if (detail::is_fork_child()) {
    (void)helper_.release();  // NOLINT(bugprone-unused-return-value): what these would give back is the parent's
    (void)state_.release();   // NOLINT(bugprone-unused-return-value)
  } else if (state_->quarantined()) {
    helper_.reset();
    detail::PoolState::keep_for_ever(std::move(state_));
  }
}

detail::LoanParts Pool::lend_slowly(std::uint32_t lane) noexcept {
  if (lane == kNoLane) return {};
  return state_->lend(lane / detail::kMagazineBytes - state_->first_lane());
}

std::size_t Pool::lend_many(std::size_t bytes, std::span<Loan> loans) noexcept { return lane(bytes).lend_many(loans); }

std::size_t Lane::lend_many(std::span<Loan> loans) noexcept {
  std::size_t lent = 0;
  while (lent < loans.size()) {
    detail::Magazine& magazine = detail::thread_home_lanes.at(lane_);
    lent += detail::pop_many(magazine, loans.subspan(lent));
    if (lent == loans.size()) break;
    const detail::LoanParts next = pool_->lend_slowly(static_cast<std::uint32_t>(lane_));  // refills the magazine too
    if (next.data == nullptr) break;
    loans[lent++] = next.lend();
  }
  return lent;
}

void drop_many(std::span<Loan> loans) noexcept {
  while (!loans.empty()) {
    loans = loans.subspan(detail::push_many(loans));
    if (!loans.empty()) {
      loans.front() = Loan{};
      loans = loans.subspan(1);
    }
  }
}

Lane Pool::lane(std::size_t bytes) noexcept { return {*this, lane_for(bytes)}; }

Lane Pool::page_lane(std::size_t bytes) noexcept {
  return {*this, lane_of_class(state_->classes().index_for(bytes, detail::Alignment::page))};
}

Loan Pool::lend_pages(std::size_t bytes) noexcept { return page_lane(bytes).lend(); }

Loan Pool::adopt(std::byte* buffer) noexcept { return state_->adopt(buffer).join(); }

void Pool::drop(std::byte* buffer) noexcept {
  if (!detail::is_fork_child()) const Loan dropped = adopt(buffer);
}

void Pool::reserve(std::size_t bytes) { state_->reserve(bytes); }

std::size_t Pool::trim() noexcept {
  flush();
  return state_->trim();
}

detail::LoanParts Pool::lend_large(std::size_t bytes) noexcept {
  const std::uint32_t lane = lane_for(bytes);
  detail::Magazine& magazine = detail::thread_home_lanes.at(lane);
  std::byte* const buffer = magazine.pop();
  return buffer != nullptr ? detail::LoanParts{buffer, magazine.lane, magazine.bytes} : lend_slowly(lane);
}

std::uint32_t Pool::lane_for(std::size_t bytes) const noexcept {
  if (bytes <= kTableBytes) return static_cast<std::uint32_t>(small_lane(bytes));
  return lane_of_class(state_->classes().index_for(bytes));
}

/// The lane of no class, where the index is of none.
std::uint32_t Pool::lane_of_class(std::size_t index) const noexcept {
  if (index == state_->classes().count()) return kNoLane;
  return static_cast<std::uint32_t>(state_->first_lane() + index) * detail::kMagazineBytes;
}

void Pool::flush() noexcept { (void)state_->flush(); }

const Options& Pool::options() const noexcept { return state_->options(); }

Counts Pool::counts() const { return state_->counts(); }

std::string Pool::check_all() const { return state_->check_all(); }

std::vector<Grade> Pool::grades() const {
  std::vector<Grade> grades;
  for (const detail::Arena& arena : state_->arenas()) grades.push_back(arena.grade);
  return grades;
}

}  // namespace weir
