#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <thread>

namespace bench {

/// Hands batches of 64 buffers from one thread to another, in order; cheap, so that the buffers' cost is what is seen.
template <typename Buffer>
class RelayRing {
 public:
  using Batch = std::array<Buffer, 64>;

  /// The batch to fill next, once there is room.
  Batch& room() {
    while (pushed_.load(std::memory_order_relaxed) - popped_.load(std::memory_order_acquire) == kBatches)
      std::this_thread::yield();
    return batches_[pushed_.load(std::memory_order_relaxed) % kBatches];
  }
  void push() { pushed_.store(pushed_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

  /// The batch to empty next, once there is one.
  Batch& front() {
    while (pushed_.load(std::memory_order_acquire) == popped_.load(std::memory_order_relaxed))
      std::this_thread::yield();
    return batches_[popped_.load(std::memory_order_relaxed) % kBatches];
  }
  void pop() { popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  static constexpr std::size_t kBatches = 32;

  alignas(64) std::atomic<std::size_t> pushed_{0};
  alignas(64) std::atomic<std::size_t> popped_{0};
  alignas(64) std::array<Batch, kBatches> batches_{};
};

}  // namespace bench
