#include "stats/borrow_records.h"

#include <execinfo.h>
#include <weir/error.h>
#include <weir/trace.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "os/clock.h"
#include "os/process.h"
#include "os/segment_file.h"

namespace weir::detail {

constinit thread_local const char* borrower_tag = nullptr;

namespace {

/// Records that were in use and are free again: the newest is taken first, so that the list stays short.
struct FreeBorrows {
  std::mutex mutex;
  std::vector<BorrowRecord*> records;
};

FreeBorrows& free_borrows() {
  static FreeBorrows& free = *new FreeBorrows;
  return free;
}

constexpr int kOwnFrames = 2;  // note_borrow() and LoanTracker::on_lend()

/// Of note_borrow()'s caller's caller.
[[gnu::always_inline]] inline void note_stack(BorrowRecord& record) {
  std::array<void*, kOwnFrames + kBorrowFrames> stack{};
  const int depth = std::max(backtrace(stack.data(), static_cast<int>(stack.size())), kOwnFrames);
  record.depth = static_cast<std::uint32_t>(depth - kOwnFrames);
  std::transform(stack.begin() + kOwnFrames, stack.end(), record.stack.begin(),
                 [](void* frame) { return reinterpret_cast<std::uint64_t>(frame); });
}

}  // namespace

void make_borrows() {
  const std::lock_guard lock(free_borrows().mutex);
  if (free_borrows().records.capacity() >= kMaxBorrows) return;
  const int error = os::populate_segment(&segment().borrows, sizeof(Segment::borrows));
  if (error != 0) {
    throw Error(-error, std::string("no memory to trace loans, 10 MiB for a process: ") + std::strerror(-error) +
                            "; unset WEIR_TRACE, or free memory");
  }
  free_borrows().records.reserve(kMaxBorrows);
}

BorrowRecord* take_borrow() noexcept {
  const std::lock_guard lock(free_borrows().mutex);
  std::vector<BorrowRecord*>& free = free_borrows().records;
  if (!free.empty()) {
    BorrowRecord* const record = free.back();
    free.pop_back();
    return record;
  }
  Count& used = segment().borrow_records;
  const std::uint64_t next = used.load(std::memory_order_relaxed);
  if (next == kMaxBorrows) return nullptr;
  used.store(next + 1, std::memory_order_relaxed);
  return &segment().borrows[next];
}

void free_borrow(BorrowRecord& record) noexcept {
  record.buffer.store(0, std::memory_order_relaxed);
  const std::lock_guard lock(free_borrows().mutex);
  free_borrows().records.push_back(&record);
}

[[gnu::noinline]] void note_borrow(BorrowRecord& record, std::uint32_t pool, const std::byte* buffer,
                                   std::uint32_t bytes) noexcept {
  record.since = static_cast<std::uint64_t>(os::now().time_since_epoch() / std::chrono::nanoseconds(1));
  record.pool = pool;
  record.bytes = bytes;
  record.thread = os::thread_id();
  record.tag = {};
  if (borrower_tag != nullptr) std::strncpy(record.tag.data(), borrower_tag, record.tag.size() - 1);
  note_stack(record);
  record.buffer.store(reinterpret_cast<std::uint64_t>(buffer), std::memory_order_release);
}

}  // namespace weir::detail
