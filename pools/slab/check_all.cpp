#include <algorithm>
#include <string>
#include <unordered_map>

#include "slab/pool_state.h"
#include "stats/counts.h"

namespace weir::detail {
namespace {

/// Who holds each buffer that is not with a user. A buffer that two hold is the first thing ever to be told.
class Holders {
 public:
  void add(std::byte* buffer, const char* holder) {
    const auto [place, fresh] = holders_.emplace(buffer, holder);
    if (!fresh && problem_.empty()) {
      problem_ = std::string("a buffer is in two hands: ") + place->second + " and " + holder;
    }
  }

  /// How many of the buffers that `depot` has cut are held by somebody.
  std::uint64_t held_of(const Depot& depot, const SlabMap& map) const {
    std::uint64_t held = 0;
    for (const auto& [buffer, holder] : holders_) {
      const std::uint32_t chunk = map.start_of(buffer);
      const Slab& slab = map[chunk];
      const bool own = slab.state == Slab::State::cut && slab.lane == depot.lane_index();
      held += own && depot.is_buffer(chunk, buffer);
    }
    return held;
  }

  std::size_t size() const { return holders_.size(); }
  const std::string& problem() const { return problem_; }

 private:
  std::unordered_map<std::byte*, const char*> holders_;
  std::string problem_;
};

std::string compare(const Depot& depot, const Counts& counts, std::uint64_t held) {
  const std::string lane = "class " + std::to_string(depot.bytes()) + ": ";
  if (!counts.law_holds()) return lane + "capacity is not the sum of the holders";
  const std::uint64_t away = counts.free + counts.cached + counts.kernel_ring + counts.kernel_request;
  if (held != away) return lane + std::to_string(away) + " buffers are counted but " + std::to_string(held) + " found";
  return {};
}

}  // namespace

std::string PoolState::check_all() const {
  const std::lock_guard lock(memory_mutex_);
  Holders holders;
  for (const auto& depot : depots_) {
    depot->visit_home([&](std::byte* buffer) { holders.add(buffer, "a depot"); });
    for (const Magazine* magazine : depot->magazines()) {
      for (std::uint64_t i = 0; i < magazine->count(); ++i) holders.add(magazine->buffers[i], "a magazine");
    }
  }
  for (const KernelHolder* holder : holders_) {
    holder->visit_held([&](std::byte* buffer) { holders.add(buffer, "the kernel"); });
  }
  std::string problem = holders.problem();
  std::uint64_t known = 0;
  for (const auto& depot : depots_) {
    const std::uint64_t held = holders.held_of(*depot, map_);
    known += held;
    if (problem.empty()) problem = compare(*depot, counts_of_lane(segment(), depot->lane_index()), held);
  }
  if (problem.empty() && known != holders.size()) problem = "a holder has a pointer that is no buffer of this pool";
  return problem;
}

}  // namespace weir::detail
