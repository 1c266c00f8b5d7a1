#include "cache/cache_budget.h"

#include <array>
#include <atomic>

#include "stats/segment.h"

namespace weir::detail {
namespace {

/// Bytes of a pool that a thread's magazines may have grown to hold.
struct Kept {
  std::uint64_t serial = 0;
  std::size_t bytes = 0;
};

/// By the thread's place. A library may have little thread-local memory, so this is not there.
constinit std::array<std::array<Kept, kMaxPools>, kMaxThreads> kept{};

std::uint64_t next_serial() {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::size_t place_of(const Magazine& magazine) {
  return static_cast<std::size_t>(&magazine - segment().magazines.front().data()) / kLanes;
}

}  // namespace

CacheBudget::CacheBudget(std::uint32_t pool, std::size_t bytes) : pool_(pool), serial_(next_serial()), bytes_(bytes) {}

bool CacheBudget::widen(const Magazine& magazine, std::size_t bytes) const noexcept {
  std::size_t& kept_now = kept_by_thread_of(magazine);
  if (kept_now + bytes > bytes_) return false;
  kept_now += bytes;
  return true;
}

void CacheBudget::narrow(const Magazine& magazine, std::size_t bytes) const noexcept {
  kept_by_thread_of(magazine) -= bytes;
}

/// Of an earlier pool with the same record, nothing is kept any more.
std::size_t& CacheBudget::kept_by_thread_of(const Magazine& magazine) const noexcept {
  Kept& of_pool = kept[place_of(magazine)].at(pool_);
  if (of_pool.serial != serial_) of_pool = {serial_, 0};
  return of_pool.bytes;
}

void forget_budgets(std::size_t place) noexcept { kept.at(place) = {}; }

}  // namespace weir::detail
