#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "allocator.h"
#include "measure.h"
#include "random_table.h"
#include "relay_ring.h"

// The timed workloads. Each is one template for all allocators.

namespace bench {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline constexpr std::size_t kPage = 4096;
inline constexpr std::array<std::size_t, 8> kClasses{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
inline constexpr Plan kAllClasses{kClasses.front(), kClasses.back(), 64 * kMiB};
inline constexpr Plan kPages{kPage, kPage, 64 * kMiB};
inline constexpr Plan kMixed{64, 65536, 160 * kMiB, true};
inline constexpr std::size_t kBatch = 64;
inline constexpr std::size_t kHeld = 10'000;

/// A buffer that is used has at least its header written.
inline void write_header(void* data, std::size_t value) {
  if (data == nullptr) {
    std::fputs("bench: an allocator ran out of buffers\n", stderr);
    std::exit(1);
  }
  *static_cast<std::size_t*>(data) = value;
}

/// Takes one buffer and gives it back, `count` times.
template <Allocator A>
void pairs(A& allocator, std::size_t bytes, std::size_t count) {
  for (; count > 0; --count) {
    auto buffer = allocator.take(bytes);
    use(A::data(buffer));
    allocator.give(buffer);
  }
}

/// The same of a size that was looked up.
template <HasLanes A>
void lane_pairs(A& allocator, std::size_t bytes, std::size_t count) {
  auto lane = allocator.lane(bytes);
  for (; count > 0; --count) {
    auto buffer = lane.take();
    use(A::data(buffer));
    lane.give(buffer);
  }
}

/// The same of sizes that vary.
template <Allocator A>
void varying_pairs(A& allocator, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto buffer = allocator.take(kClasses[i % kClasses.size()]);
    use(A::data(buffer));
    allocator.give(buffer);
  }
}

template <Allocator A>
void time_pairs(double milliseconds) {
  A allocator(kAllClasses);
  for (const std::size_t bytes : kClasses) {
    measure("pair/" + std::to_string(bytes), milliseconds, [&](std::size_t count) {
      pairs(allocator, opaque(bytes), count);
      return count;
    });
    if constexpr (HasLanes<A>) {
      measure("pair-lane/" + std::to_string(bytes), milliseconds, [&](std::size_t count) {
        lane_pairs(allocator, opaque(bytes), count);
        return count;
      });
    }
  }
  measure("pair/varying", milliseconds, [&](std::size_t count) {
    varying_pairs(allocator, count);
    return count;
  });
}

/// Takes and gives back all of `buffers`, so many times.
template <typename Buffers, typename Take, typename Give>
void time_batch(const char* name, double milliseconds, Buffers& buffers, Take take, Give give) {
  measure(name, milliseconds, [&](std::size_t count) {
    for (std::size_t done = 0; done < count; done += buffers.size()) {
      take();
      use(buffers.data());
      give();
    }
    return (count + buffers.size() - 1) / buffers.size() * buffers.size();
  });
}

/// 64 buffers at once, given back together.
template <Allocator A>
void time_bulk(double milliseconds) {
  A allocator(kAllClasses);
  std::array<typename A::Buffer, kBatch> buffers{};
  time_batch(
      "batch/bulk", milliseconds, buffers, [&] { allocator.take_many(opaque(kPage), std::span{buffers}); },
      [&] { allocator.give_many(std::span{buffers}); });
}

/// The same one by one; given back newest first, or oldest first.
template <Allocator A>
void time_batches(double milliseconds) {
  A allocator(kAllClasses);
  std::array<typename A::Buffer, kBatch> buffers{};
  const auto take_one_by_one = [&] { take_each(allocator, opaque(kPage), std::span{buffers}); };
  time_batch("batch/lifo", milliseconds, buffers, take_one_by_one, [&] {
    for (std::size_t i = kBatch; i > 0; --i) allocator.give(buffers[i - 1]);
  });
  time_batch("batch/fifo", milliseconds, buffers, take_one_by_one, [&] { give_each(allocator, std::span{buffers}); });
}

/// Of 10,000 buffers of 4 KiB, 64 at random are replaced at a time.
template <Allocator A>
void time_replace(const std::string& name, double milliseconds) {
  A allocator(kPages);
  std::vector<typename A::Buffer> held(kHeld);
  for (auto& buffer : held) {
    buffer = allocator.take(kPage);
    write_header(A::data(buffer), 0);
  }
  const RandomTable places(kHeld);
  std::array<typename A::Buffer, kBatch> batch{};
  std::size_t at = 0;
  measure(name, milliseconds, [&](std::size_t count) {
    for (std::size_t done = 0; done < count; done += kBatch, at += kBatch) {
      std::size_t found = 0;  // a place may come twice in a batch
      for (std::size_t i = 0; i < kBatch; ++i) {
        auto& buffer = held[places[at + i]];
        if (A::data(buffer) != nullptr) batch[found++] = std::exchange(buffer, {});
      }
      const std::span changing = std::span{batch}.first(found);
      allocator.give_many(changing);
      allocator.take_many(opaque(kPage), changing);
      for (std::size_t i = kBatch; i > 0; --i) {
        auto& buffer = held[places[at + i - 1]];
        if (A::data(buffer) != nullptr) continue;
        buffer = std::exchange(batch[--found], {});
        write_header(A::data(buffer), at);
      }
    }
    return (count + kBatch - 1) / kBatch * kBatch;
  });
  for (auto& buffer : held) allocator.give(buffer);
}

/// Of 10,000 buffers of 64 bytes to 64 KiB, one at random is replaced by one of another size.
template <Allocator A>
void time_mixed(double milliseconds) {
  A allocator(kMixed);
  std::vector<typename A::Buffer> held(kHeld);
  const SizeTable sizes;
  for (std::size_t i = 0; i < kHeld; ++i) {
    held[i] = allocator.take(sizes[i]);
    write_header(A::data(held[i]), i);
  }
  const RandomTable places(kHeld);
  std::size_t at = 0;
  measure("mixed", milliseconds, [&](std::size_t count) {
    for (const std::size_t end = at + count; at < end; ++at) {
      auto& buffer = held[places[at]];
      allocator.give(buffer);
      buffer = allocator.take(sizes[at]);
      write_header(A::data(buffer), at);
    }
    return count;
  });
  for (auto& buffer : held) allocator.give(buffer);
}

/// One thread takes buffers of 4 KiB, another gives them back.
template <Allocator A>
void time_relay(double milliseconds) {
  A allocator(kPages);
  auto ring = std::make_unique<RelayRing<typename A::Buffer>>();
  measure(
      "relay", milliseconds,
      [&](std::size_t count) {
        const std::size_t batches = (count + kBatch - 1) / kBatch;
        std::thread dropper([&] {
          [[maybe_unused]] const typename A::Guest guest;
          for (std::size_t i = 0; i < batches; ++i) {
            for (auto& buffer : ring->front()) allocator.give(buffer);
            ring->pop();
          }
        });
        for (std::size_t i = 0; i < batches; ++i) {
          for (auto& buffer : ring->room()) {
            buffer = allocator.take(opaque(kPage));
            if (A::data(buffer) == nullptr) write_header(nullptr, 0);
          }
          ring->push();
        }
        dropper.join();
        return batches * kBatch;
      },
      Clock::real);
}

/// Threads that each take more than a thread keeps for itself, and give it back. Nanoseconds of processor time of a
/// pair, whatever the number of processors.
template <Allocator A>
void time_threads(double milliseconds) {
  constexpr std::size_t kBurst = 500;
  A allocator(kPages);
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  for (const unsigned threads : {2U, 4U, 8U}) {
    measure(
        "threads/" + std::to_string(threads), milliseconds,
        [&](std::size_t count) {
          const std::size_t bursts = count / kBurst / threads + 1;
          const auto work = [&] {
            [[maybe_unused]] const typename A::Guest guest;
            std::vector<typename A::Buffer> burst(kBurst);
            for (std::size_t i = 0; i < bursts; ++i) {
              take_each(allocator, opaque(kPage), std::span{burst});
              for (auto& buffer : burst) write_header(A::data(buffer), i);
              give_each(allocator, std::span{burst});
            }
          };
          std::vector<std::thread> others;
          for (unsigned i = 0; i < threads; ++i) others.emplace_back(work);
          for (std::thread& thread : others) thread.join();
          return bursts * kBurst * threads / std::min(threads, processors);
        },
        Clock::real);
  }
}

}  // namespace bench
