#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "workloads.h"

// The workloads that count memory. Each needs a process of its own: what an earlier one used would be reused unseen.

namespace bench {

/// Bytes of this process that are in memory, explicit huge pages among them.
inline std::size_t resident_bytes() {
  std::size_t kibibytes = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:") || line.starts_with("HugetlbPages:"))
      kibibytes += std::stoul(line.substr(line.find(':') + 1));
  }
  return kibibytes * 1024;
}

inline std::size_t page_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_minflt + usage.ru_majflt);
}

/// As a device or a socket would.
inline void write_all_pages(void* data, std::size_t bytes) {
  write_header(data, bytes);
  for (std::size_t at = kPage; at < bytes; at += kPage) write_header(static_cast<std::byte*>(data) + at, at);
}

/// Time to make the pool, then to use all of it once, and the page faults of that: but for one buffer, with which the
/// code is read in.
template <Allocator A>
void count_set_up() {
  constexpr std::size_t kCount = kPages.bytes / kPage * 15 / 16;
  std::vector<typename A::Buffer> held(kCount);
  std::unique_ptr<A> allocator;
  const double made = nanoseconds_of(Clock::thread, [&] { allocator = std::make_unique<A>(kPages); });
  held[0] = allocator->take(kPage);
  allocator->give(held[0]);
  const std::size_t faults = page_faults();
  const double used = nanoseconds_of(Clock::thread, [&] {
    for (auto& buffer : held) {
      buffer = allocator->take(kPage);
      write_all_pages(A::data(buffer), kPage);
    }
  });
  report("set-up/faults", static_cast<double>(page_faults() - faults));
  report("set-up/make", made / (static_cast<double>(kPages.bytes) / 1024));
  if constexpr (requires { allocator->page_bytes(); })
    report("set-up/page-bytes", static_cast<double>(allocator->page_bytes()));
  report("set-up/both", (made + used) / (static_cast<double>(kPages.bytes) / 1024));
  report("set-up/first-use", used / (static_cast<double>(kCount * kPage) / 1024));
  for (auto& buffer : held) allocator->give(buffer);
}

/// What the allocator holds, over what its user asked for: after `kChurn` replacements of 10,000 buffers.
template <Allocator A, typename Sizes>
void count_resident(const std::string& name, const Plan& plan, const Sizes& sizes) {
  constexpr std::size_t kChurn = 200'000;
  const RandomTable places(kHeld);
  std::vector<typename A::Buffer> held(kHeld);
  std::vector<std::size_t> asked(kHeld);
  const std::size_t before = resident_bytes();
  A allocator(plan);
  for (std::size_t i = 0; i < kHeld + kChurn; ++i) {
    const std::size_t place = i < kHeld ? i : places[i];
    if (i >= kHeld) allocator.give(held[place]);
    asked[place] = sizes[i];
    held[place] = allocator.take(asked[place]);
    write_all_pages(A::data(held[place]), asked[place]);
  }
  std::size_t requested = 0;
  for (const std::size_t bytes : asked) requested += bytes;
  const std::size_t resident = resident_bytes() - before;
  report(name, static_cast<double>(resident - allocator.unused_bytes()) / static_cast<double>(requested));
  for (auto& buffer : held) allocator.give(buffer);
}

/// Every buffer of one size.
struct SameSize {
  std::size_t operator[](std::size_t) const { return kPage; }
};

}  // namespace bench
