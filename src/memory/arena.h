#pragma once

#include <weir/options.h>
#include <weir/pool.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.h"

namespace weir::detail {

inline constexpr std::size_t kGiantPage = std::size_t{1} << 30;

/// Address space of a pool, into which its arenas are mapped. Nothing backs it until then. It starts at a multiple of
/// 2 MiB, or of 1 GiB when it is as large as that.
class Reservation {
 public:
  /// Throws Error when the process has no such address space left.
  explicit Reservation(std::size_t bytes);
  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  std::byte* base() const { return base_; }

 private:
  std::size_t bytes_;
  std::byte* base_;
};

/// One mapping on one node: populated, verified, locked where that means something. Lives inside a Reservation, which
/// unmaps it.
struct Arena {
  std::byte* base = nullptr;
  Grade grade;
};

/// What a control group must have left for so much memory: for what the kernel and the pool note of it, too.
constexpr std::uint64_t needed_of_group(std::uint64_t bytes) { return bytes + bytes / 128 + 2 * base::kMiB; }

/// Maps the best memory that the ladder 1 GiB hugetlb > 2 MiB hugetlb > transparent huge > 4 KiB gives, starting where
/// `options` says; each rung that was asked and not got leaves its reason in the grade. Pages::automatic asks for 2
/// MiB, and tries 1 GiB before where size and place are multiples of that. Throws Error when no rung will do, or, with
/// options.strict, when the rung that is asked for or a part of it cannot be had. Memory beyond a control group's limit
/// is not asked for: what is no explicit huge page would be refused by SIGKILL. REQUIRES: [base, base + bytes) is
/// reserved and a multiple of 4 KiB.
Arena map_arena(std::byte* base, std::size_t bytes, int node, const Options& options);

}  // namespace weir::detail
