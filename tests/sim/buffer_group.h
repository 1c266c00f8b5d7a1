#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/queues.h"

namespace weir::sim {

/// A provided buffer ring as the kernel has it: the entries in shared memory, and a head of its own.
class BufferGroup {
 public:
  BufferGroup(void* memory, unsigned entries, std::uint16_t id, bool incremental)
      : ring_(static_cast<io_uring_buf_ring*>(memory)), entries_(entries), id_(id), incremental_(incremental) {}

  std::uint16_t id() const { return id_; }
  bool incremental() const { return incremental_; }
  /// Buffers that are there for the kernel to pick.
  unsigned count() const;
  /// The one that is picked after `ahead` others. REQUIRES: ahead < count().
  std::span<std::byte> at(unsigned ahead) const;
  std::uint16_t first_bid() const { return entry(0).bid; }

  /// The next `bytes` of the first buffers are used.
  struct Used {
    std::vector<Range> whole{};  ///< buffers that are the kernel's no more
    bool more = false;           ///< the last still is
  };
  Used use(std::size_t bytes);
  /// The first buffer, all of it, where a part of it is used already; else nothing.
  Range opened() const { return opened_; }

  /// All that the kernel may write to.
  void add_ranges(std::vector<Range>& all) const;

 private:
  io_uring_buf& entry(unsigned ahead) const {
    return ring_->bufs[static_cast<std::uint16_t>(head_ + ahead) & (entries_ - 1)];
  }

  io_uring_buf_ring* ring_;
  unsigned entries_;
  std::uint16_t id_;
  bool incremental_;
  std::uint16_t head_ = 0;
  Range opened_{};
};

}  // namespace weir::sim
