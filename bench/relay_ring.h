#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <thread>

namespace bench {

/// Hands batches of 64 buffers from one thread to another, in order; cheap, so that the buffers' cost is what is seen:
/// each side remembers how far the other was, and looks again only when it must.
template <typename Buffer>
class RelayRing {
 public:
  using Batch = std::array<Buffer, 64>;

  /// The batch to fill next, once there is room.
  Batch& room() {
    if (giver_.done - giver_.other == kBatches) wait(giver_, popped_, giver_.done - kBatches);
    return batches_[giver_.done % kBatches];
  }
  void push() { pushed_.value.store(++giver_.done, std::memory_order_release); }

  /// The batch to empty next, once there is one.
  Batch& front() {
    if (taker_.other == taker_.done) wait(taker_, pushed_, taker_.done);
    return batches_[taker_.done % kBatches];
  }
  void pop() { popped_.value.store(++taker_.done, std::memory_order_release); }

 private:
  static constexpr std::size_t kBatches = 32;
  static constexpr int kLooks = 1000;

  struct alignas(64) Count {
    std::atomic<std::size_t> value{0};
  };
  struct alignas(64) Side {
    std::size_t done = 0;
    std::size_t other = 0;  ///< what the other side had done when it was looked at last
  };

  static void wait(Side& side, const Count& count, std::size_t passed) {
    for (int look = 0; (side.other = count.value.load(std::memory_order_acquire)) == passed; ++look) {
      if (look < kLooks) {
        asm volatile("" : : : "memory");
      } else {
        std::this_thread::yield();
      }
    }
  }

  Count pushed_;
  Count popped_;
  Side giver_;
  Side taker_;
  alignas(64) std::array<Batch, kBatches> batches_{};
};

}  // namespace bench
