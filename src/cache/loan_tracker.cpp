#include "cache/loan_tracker.h"

#include <execinfo.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/fatal.h"
#include "base/units.h"
#include "os/clock.h"
#include "stats/borrow_records.h"

namespace weir::detail {
namespace {

struct FreeNames {
  void operator()(char** names) const { std::free(static_cast<void*>(names)); }
};

std::string describe(const BorrowRecord& borrow) {
  const auto age = os::now().time_since_epoch() - std::chrono::nanoseconds(borrow.since);
  std::string text = base::format_size(borrow.bytes) + " borrowed " +
                     std::to_string(age / std::chrono::milliseconds(1)) + " ms ago by thread " +
                     std::to_string(borrow.thread) + (borrow.tag[0] != '\0' ? " for " : "") + borrow.tag.data() +
                     " at\n";
  std::array<void*, kBorrowFrames> stack;
  std::transform(borrow.stack.begin(), borrow.stack.end(), stack.begin(), [](std::uint64_t frame) {
    return reinterpret_cast<void*>(frame);
  });  // NOLINT(performance-no-int-to-ptr)
  const std::unique_ptr<char*, FreeNames> names(backtrace_symbols(stack.data(), static_cast<int>(borrow.depth)));
  for (std::uint32_t i = 0; names && i < borrow.depth; ++i) text += std::string("    ") + names.get()[i] + "\n";
  return text;
}

}  // namespace

struct LoanTracker::Borrows {
  mutable std::mutex mutex;
  std::unordered_map<const std::byte*, BorrowRecord*> out;  ///< nullptr: there was no room in the segment
};

LoanTracker::LoanTracker(PoolRecord& pool, std::uint32_t pool_index, bool trace, bool scrub)
    : pool_(pool), pool_index_(pool_index), borrows_(trace ? std::make_unique<Borrows>() : nullptr), scrub_(scrub) {
  if (!trace) return;
  make_borrows();
  pool_.traces = 1;
}

LoanTracker::~LoanTracker() {
  if (!borrows_) return;
  for (const auto& [buffer, record] : borrows_->out) {
    if (record != nullptr) free_borrow(*record);
  }
}

[[gnu::noinline]] void LoanTracker::on_lend(const std::byte* buffer, std::uint32_t bytes) noexcept {
  if (!borrows_) return;
  BorrowRecord* const record = take_borrow();
  if (record != nullptr) {
    note_borrow(*record, pool_index_, buffer, bytes);
  } else {
    pool_.unlisted.fetch_add(1, std::memory_order_relaxed);
  }
  const std::lock_guard lock(borrows_->mutex);
  borrows_->out.insert_or_assign(buffer, record);
}

void LoanTracker::on_drop(std::byte* buffer, std::uint32_t bytes) noexcept {
  if (borrows_) {
    const std::lock_guard lock(borrows_->mutex);
    const auto borrow = borrows_->out.extract(buffer);
    if (borrow.empty()) base::fatal("a buffer of %u bytes was dropped twice: two parts of the program held it", bytes);
    if (borrow.mapped() != nullptr) {
      free_borrow(*borrow.mapped());
    } else {
      pool_.unlisted.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  scrub(buffer, bytes);
}

/// In a checked build the guards have written the zeros, and nobody may touch the buffer any more.
void LoanTracker::scrub([[maybe_unused]] std::byte* buffer, [[maybe_unused]] std::uint32_t bytes) const noexcept {
#ifndef WEIR_CHECKED
  if (scrub_) std::memset(buffer, 0, bytes);
#endif
}

std::string LoanTracker::describe_oldest(std::size_t most) const {
  if (!borrows_) return {};
  const std::lock_guard lock(borrows_->mutex);
  std::vector<const BorrowRecord*> oldest;
  for (const auto& [buffer, record] : borrows_->out) {
    if (record != nullptr) oldest.push_back(record);
  }
  most = std::min(most, oldest.size());
  std::partial_sort(oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(most), oldest.end(),
                    [](const BorrowRecord* a, const BorrowRecord* b) { return a->since < b->since; });
  std::string text;
  for (std::size_t i = 0; i < most; ++i) text += describe(*oldest[i]);
  return text;
}

}  // namespace weir::detail
