#include <weir/error.h>
#include <weir/registered.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/fatal.h"
#include "base/units.h"
#include "os/process.h"
#include "os/uring.h"
#include "slab/pool_state.h"

namespace weir {
namespace {

constexpr std::size_t kMostRange = 1024 * base::kMiB;
constexpr std::size_t kMostSlots = 16384;  // the kernel's limit
constexpr std::size_t kSmallArenas = 128;

/// Indexes for what the pool may grow by.
std::size_t spare_slots(const detail::MemoryLimits& limits) {
  return limits.most > limits.start ? (limits.most - limits.start) / kMostRange + kSmallArenas : 0;
}

[[noreturn]] void refuse(int error, std::size_t bytes, const char* other_cause) {
  throw Error(-error, "cannot register " + base::format_size(bytes) + " with the io_uring: the memlock limit is " +
                          base::format_size(os::soft_limit(RLIMIT_MEMLOCK)) +
                          " (raise it with `ulimit -l unlimited`), or " + other_cause);
}

template <typename Range>
std::vector<iovec> vectors_of(const std::vector<Range>& ranges) {
  std::vector<iovec> vectors;
  vectors.reserve(ranges.size());
  for (const Range& range : ranges) vectors.push_back({range.base, range.bytes});
  return vectors;
}

std::size_t total(const std::vector<iovec>& vectors) {
  std::size_t bytes = 0;
  for (const iovec& each : vectors) bytes += each.iov_len;
  return bytes;
}

}  // namespace

RegisteredPool::RegisteredPool(Pool& pool, io_uring& ring) : pool_(pool), ring_(ring) {
  const std::vector<Range> ranges = pin_new_ranges();
  std::vector<iovec> vectors = vectors_of(ranges);
  slots_ = std::max(ranges.size(), std::min(kMostSlots, ranges.size() + spare_slots(pool_.state().limits())));
  vectors.resize(slots_);
  int error = os::register_buffers(ring_, vectors);
  if (error == -EFAULT && slots_ > ranges.size()) {  // before Linux 5.13 no index may be empty
    slots_ = ranges.size();
    vectors.resize(slots_);
    error = os::register_buffers(ring_, vectors);
  }
  if (error != 0) {
    unpin(ranges);
    refuse(error, total(vectors), "the io_uring has registered buffers already");
  }
  add(ranges);
}

RegisteredPool::~RegisteredPool() {
  if (detail::is_fork_child()) return;
  const int error = os::unregister_buffers(ring_);
  if (error == 0 || error == -ENXIO) {
    unpin(ranges_);
    return;
  }
  base::warn(
      "pool '%s': its memory stays registered with an io_uring (%s), so none of it is unmapped before the pool "
      "ends: destroy the RegisteredPool on the io_uring's own thread, and before the io_uring",
      pool_.options().name.c_str(), std::strerror(-error));
}

void RegisteredPool::refresh() {
  const std::vector<Range> ranges = pin_new_ranges();
  if (ranges.empty()) return;
  const std::vector<iovec> vectors = vectors_of(ranges);
  const auto first = static_cast<unsigned>(ranges_.size());
  if (first + ranges.size() > slots_) {
    unpin(ranges);
    throw Error(ENOSPC, "cannot register " + base::format_size(total(vectors)) + " more: all " +
                            std::to_string(slots_) + " indexes are in use; make the RegisteredPool again");
  }
  const int error = os::update_buffers(ring_, first, vectors);
  if (error != 0) {
    unpin(ranges);
    refuse(error, total(vectors), "Linux is older than 5.13, or another thread owns the io_uring");
  }
  add(ranges);
}

std::optional<std::uint16_t> RegisteredPool::index_of(const std::byte* address) const noexcept {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                      [](const std::byte* at, const Range& range) { return at < range.base; });
  if (after == ranges_.begin()) return std::nullopt;
  const Range& range = *std::prev(after);
  return address < range.base + range.bytes ? std::optional(range.index) : std::nullopt;
}

std::vector<RegisteredPool::Range> RegisteredPool::pin_new_ranges() {
  const auto is_new = [&](const detail::Arena& arena) { return !index_of(arena.base); };
  std::vector<Range> ranges;
  for (const detail::Arena& arena : pool_.state().pin_arenas(is_new)) {
    for (std::size_t at = 0; at < arena.grade.bytes; at += kMostRange) {
      const auto index = static_cast<std::uint16_t>(ranges_.size() + ranges.size());
      ranges.push_back({arena.base + at, std::min(kMostRange, arena.grade.bytes - at), index});
    }
  }
  return ranges;
}

/// An arena is known by its first range's address.
void RegisteredPool::unpin(const std::vector<Range>& ranges) {
  for (const Range& range : ranges) pool_.state().unpin_arena(range.base);
}

void RegisteredPool::add(const std::vector<Range>& ranges) {
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.base < b.base; });
}

}  // namespace weir
