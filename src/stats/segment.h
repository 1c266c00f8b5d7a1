#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

#include "stats/records.h"

// This process's statistics segment: how it comes to be, and how records of it are taken and freed.

namespace weir::detail {

/// This process's segment, made at the first call. Throws Error when it cannot be made.
Segment& segment();
/// Of a memory file that the kernel refuses, with -errno: throws Error, with what it was for.
[[noreturn]] void refuse_memory_file(const std::string& what, int error);

/// Guards the lists of pools, threads, rings and receivers. Taken before a depot's lock, never after it.
std::mutex& registry_mutex();

/// A free record of the array, marked live; nullptr when all are taken.
template <typename Record, std::size_t Size>
Record* take_record(std::array<Record, Size>& records) {
  const std::lock_guard lock(registry_mutex());
  for (Record& record : records) {
    if (record.live.load(std::memory_order_relaxed) != 0) continue;
    record.live.store(1, std::memory_order_release);
    return &record;
  }
  return nullptr;
}

template <typename Record>
void clear_record(Record& record) {
  record.~Record();
  new (&record) Record{};
}

/// Frees the record. It is zeroed, but for what it keeps by an end() of its own.
template <typename Record>
void free_record(Record& record) {
  const std::lock_guard lock(registry_mutex());
  record.live.store(0, std::memory_order_release);
  if constexpr (requires { record.end(); }) {
    record.end();
  } else {
    clear_record(record);
  }
}

/// A record of the segment, live as long as this is; or none.
template <typename Record>
class RecordHold {
 public:
  explicit RecordHold(Record* record) : record_(record) {}
  RecordHold(RecordHold&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  RecordHold& operator=(RecordHold&& other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~RecordHold() {
    if (record_ != nullptr) free_record(*record_);
  }
  Record* operator->() const { return record_; }
  Record& operator*() const { return *record_; }

 private:
  Record* record_;
};

/// True in a child of fork, which has none of the parent's memory.
bool is_fork_child();

}  // namespace weir::detail
