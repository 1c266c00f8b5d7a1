#include <weir/loan.h>

#include <cstring>

// Loans taken apart and put together many at a time: two of them make one pair of pointers and one of lanes and sizes.

namespace weir::detail {
namespace {

using Pair = std::uint64_t __attribute__((vector_size(16)));
using Quad = std::uint32_t __attribute__((vector_size(16)));

constexpr std::size_t kBlock = 8;

// Not by a reference to a less aligned Pair: clang would take it for aligned.
Pair load(const void* where) {
  Pair pair;
  std::memcpy(&pair, where, sizeof pair);
  return pair;
}

void store(void* where, Pair pair) { std::memcpy(where, &pair, sizeof pair); }

/// Copies the buffers of a block of loans. False, with the loans as they are, when one may be empty or of another lane.
bool copy_block(Loan* loans, std::uint32_t lane, std::byte** buffers) {
  Pair strange{0, 0};
  Quad zero{0, 0, 0, 0};
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kBlock; i += 2) {
    const Pair first = load(loans + i);
    const Pair second = load(loans + i + 1);
    const Pair both = __builtin_shufflevector(first, second, 0, 2);
    store(buffers + i, both);
    strange |= __builtin_shufflevector(first, second, 1, 3) ^ Pair { lane, lane };
    zero |= reinterpret_cast<Quad>(reinterpret_cast<Quad>(both) == Quad{0, 0, 0, 0});
  }
  const Pair bad = (strange & Pair{UINT32_MAX, UINT32_MAX}) | reinterpret_cast<Pair>(zero);
  return (bad[0] | bad[1]) == 0;
}

}  // namespace

void LoanParts::fill(std::span<Loan> loans, std::byte* const* buffers, std::uint32_t lane,
                     std::uint32_t size) noexcept {
  for (std::size_t i = 0; i < loans.size(); ++i) guard_lend(buffers[i], lane);
  const std::uint64_t tail = std::uint64_t{size} << 32 | lane;
  std::size_t done = 0;
#pragma GCC unroll 4
  for (; done + 2 <= loans.size(); done += 2) {
    probe::lend(buffers[done], size);
    probe::lend(buffers[done + 1], size);
    const Pair both = load(buffers + done);
    store(&loans[done], __builtin_shufflevector(both, Pair{tail, tail}, 0, 2));
    store(&loans[done + 1], __builtin_shufflevector(both, Pair{tail, tail}, 1, 3));
  }
  if (done < loans.size()) probe::lend(buffers[done], size);
  if (done < loans.size()) loans[done] = LoanParts{buffers[done], lane, size}.join();
}

std::size_t LoanParts::empty(std::span<Loan> loans, std::uint32_t lane, std::byte** buffers) noexcept {
  std::size_t done = 0;
  for (; done + kBlock <= loans.size() && copy_block(&loans[done], lane, buffers + done); done += kBlock) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kBlock; ++i) {
      probe::drop(buffers[done + i]);
      store(&loans[done + i], Pair{0, 0});
    }
  }
  for (; done < loans.size() && loans[done] && lane_of(loans[done]) == lane; ++done) {
    buffers[done] = take(std::move(loans[done])).data;
    probe::drop(buffers[done]);
  }
  for (std::size_t i = 0; i < done; ++i) guard_drop(buffers[i], lane);
  return done;
}

}  // namespace weir::detail
