#pragma once

#include <weir/options.h>
#include <weir/pool.h>

#include <cstddef>
#include <vector>

namespace weir::detail {

/// Address space of a pool, into which its arenas are mapped. Nothing backs it until then.
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

/// Maps the best memory that the ladder 2 MiB hugetlb > transparent huge > 4 KiB gives, starting where `options` says;
/// each rung that was asked and not got leaves its reason in the grade. Throws Error when no rung will do, or, with
/// options.strict, when the first rung or a part of it cannot be had.
/// REQUIRES: [base, base + bytes) is reserved and a multiple of 4 KiB.
Arena map_arena(std::byte* base, std::size_t bytes, int node, const Options& options);

}  // namespace weir::detail
