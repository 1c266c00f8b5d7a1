#include <weir/pool.h>

#include "base/fatal.h"
#include "core/magazines.h"
#include "core/threads.h"
#include "slab/pool_state.h"

namespace weir {
namespace {

/// The last lane of a node belongs to no pool: sizes that no class holds look there, and find nothing.
constexpr std::uint32_t kNoLane = (detail::kLanesPerNode - 1) * detail::kMagazineBytes;

}  // namespace

Pool::Pool(const Options& options) : state_(std::make_unique<detail::PoolState>(options)) {
  const detail::SizeClasses& classes = state_->classes();
  for (std::size_t i = 0; i < lane_of_.size(); ++i) {
    const std::size_t index = classes.index_for(i * kGranule);
    const auto lane = static_cast<std::uint32_t>(state_->first_lane() + index) * detail::kMagazineBytes;
    lane_of_[i] = index < classes.count() ? lane : kNoLane;
  }
}

Pool::~Pool() {
  if (detail::is_fork_child()) {
    (void)state_.release();  // NOLINT(bugprone-unused-return-value): what it would give back is the parent's
  } else if (state_->quarantined()) {
    detail::PoolState::keep_for_ever(std::move(state_));
  }
}

detail::LoanParts Pool::lend_slowly(std::uint32_t lane) noexcept {
  if (lane == kNoLane) return {};
  return state_->lend(lane / detail::kMagazineBytes - state_->first_lane());
}

detail::LoanParts Pool::lend_large(std::size_t bytes) noexcept {
  const std::size_t index = state_->classes().index_for(bytes);
  return index < state_->classes().count() ? state_->lend(index) : detail::LoanParts{};
}

void Pool::flush() noexcept {
  detail::for_own_magazines(
      [](detail::Magazine& magazine, detail::Depot& depot) { detail::flush(magazine, depot, 0); });
}

const Options& Pool::options() const noexcept { return state_->options(); }

Counts Pool::counts() const { return state_->counts(); }

std::string Pool::check_all() const { return state_->check_all(); }

std::vector<Grade> Pool::grades() const {
  std::vector<Grade> grades;
  for (const detail::Arena& arena : state_->arenas()) grades.push_back(arena.grade);
  return grades;
}

}  // namespace weir
