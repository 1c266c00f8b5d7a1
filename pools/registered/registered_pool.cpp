#include <weir/error.h>
#include <weir/registered.h>

#include <algorithm>
#include <vector>

#include "base/units.h"
#include "os/process.h"
#include "os/uring.h"
#include "slab/pool_state.h"

namespace weir {
namespace {

constexpr std::size_t kMostRange = 1024 * base::kMiB;

/// The pool's arenas as ranges that the kernel takes: none over 1 GiB, none over two arenas.
std::vector<iovec> ranges_of(const detail::PoolState& pool) {
  std::vector<iovec> ranges;
  for (const detail::Arena& arena : pool.arenas()) {
    for (std::size_t at = 0; at < arena.grade.bytes; at += kMostRange) {
      ranges.push_back({arena.base + at, std::min(kMostRange, arena.grade.bytes - at)});
    }
  }
  return ranges;
}

bool covers(const iovec& range, const std::byte* address) {
  const auto* base = static_cast<const std::byte*>(range.iov_base);
  return address >= base && address < base + range.iov_len;
}

}  // namespace

RegisteredPool::RegisteredPool(Pool& pool, io_uring& ring) : pool_(pool), ring_(ring) {
  const int error = os::register_buffers(ring_, ranges_of(pool_.state()));
  if (error == 0) return;
  throw Error(-error, "cannot register " + base::format_size(pool_.options().bytes) +
                          " with the io_uring: the memlock limit is " + base::format_size(os::memlock_limit()) +
                          " (raise it with `ulimit -l unlimited`), or the io_uring has registered buffers already");
}

RegisteredPool::~RegisteredPool() {
  if (!detail::is_fork_child()) os::unregister_buffers(ring_);
}

std::uint16_t RegisteredPool::index(const Loan& loan) const noexcept {
  std::uint16_t index = 0;
  for (const detail::Arena& arena : pool_.state().arenas()) {
    if (covers({arena.base, arena.grade.bytes}, loan.data())) {
      return static_cast<std::uint16_t>(index + static_cast<std::size_t>(loan.data() - arena.base) / kMostRange);
    }
    index = static_cast<std::uint16_t>(index + (arena.grade.bytes + kMostRange - 1) / kMostRange);
  }
  return index;
}

}  // namespace weir
