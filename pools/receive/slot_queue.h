#pragma once

#include <cstdint>
#include <vector>

#include "receive/connection.h"

namespace weir::detail {

/// Connections in line, first-in first-out, linked through themselves: it takes no memory.
class SlotQueue {
 public:
  explicit SlotQueue(std::vector<Connection>& connections, Queue name) : connections_(connections), name_(name) {}

  bool empty() const noexcept { return count_ == 0; }
  std::size_t count() const noexcept { return count_; }
  /// REQUIRES: it is not empty.
  std::uint32_t front() const noexcept { return first_; }

  /// REQUIRES: the connection is in no queue.
  void push(std::uint32_t slot) noexcept {
    connections_[slot].queue = name_;
    if (empty()) {
      first_ = slot;
    } else {
      connections_[last_].next = slot;
      connections_[slot].before = last_;
    }
    last_ = slot;
    ++count_;
  }

  /// REQUIRES: it is not empty.
  std::uint32_t pop() noexcept {
    const std::uint32_t slot = first_;
    connections_[slot].queue = Queue::none;
    first_ = connections_[slot].next;
    --count_;
    return slot;
  }

  /// REQUIRES: the connection is in this queue.
  void remove(std::uint32_t slot) noexcept {
    if (slot == first_) {
      pop();
      return;
    }
    Connection& connection = connections_[slot];
    connection.queue = Queue::none;
    connections_[connection.before].next = connection.next;
    (slot == last_ ? last_ : connections_[connection.next].before) = connection.before;
    --count_;
  }

 private:
  std::vector<Connection>& connections_;
  const Queue name_;
  std::uint32_t first_ = 0;
  std::uint32_t last_ = 0;
  std::size_t count_ = 0;
};

}  // namespace weir::detail
