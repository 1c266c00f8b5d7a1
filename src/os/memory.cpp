#include "os/memory.h"

#include <numaif.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "os/file.h"
#include "os/kernel_numbers.h"

namespace weir::os {
namespace {

constexpr std::size_t kMostNodes = 1024;  // of any kernel
constexpr std::size_t kWordBits = sizeof(unsigned long) * 8;

int result_of(int returned) { return returned == 0 ? 0 : -errno; }

int flags_of(PageKind kind) {
  constexpr int kCommon = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (!is_huge_tlb(kind)) return kCommon;
  const unsigned size = kind == PageKind::huge_tlb_1g ? kernel::kHuge1GiB : kernel::kHuge2MiB;
  return kCommon | MAP_HUGETLB | static_cast<int>(size);
}

std::byte* map_nothing(void* where, std::size_t bytes, int extra_flags) {
  void* got = mmap(where, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | extra_flags, -1, 0);
  return got == MAP_FAILED ? nullptr : static_cast<std::byte*>(got);
}

}  // namespace

std::byte* reserve(std::size_t bytes, std::size_t alignment) {
  std::byte* start = map_nothing(nullptr, bytes + alignment, 0);
  if (start == nullptr) return nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const std::size_t skip = (alignment - address % alignment) % alignment;
  if (skip > 0) munmap(start, skip);
  munmap(start + skip + bytes, alignment - skip);
  return start + skip;
}

int map_at(std::byte* where, std::size_t bytes, PageKind kind) {
  if (mmap(where, bytes, PROT_READ | PROT_WRITE, flags_of(kind), -1, 0) == MAP_FAILED) {
    const int error = -errno;
    unmap_to_reserved(where, bytes);
    return error;
  }
  if (is_huge_tlb(kind)) return 0;
  const int advice = kind == PageKind::transparent_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
  const int error = result_of(madvise(where, bytes, advice));
  if (error == 0 || kind == PageKind::small) return 0;  // a kernel without THP has small pages anyway
  unmap_to_reserved(where, bytes);
  return error;
}

int unmap_to_reserved(std::byte* where, std::size_t bytes) {
  return map_nothing(where, bytes, MAP_FIXED) == nullptr ? -errno : 0;
}

int release(std::byte* where, std::size_t bytes) { return result_of(munmap(where, bytes)); }

int bind_to_node(std::byte* where, std::size_t bytes, int node) {
  std::array<unsigned long, kMostNodes / kWordBits> mask{};
  const auto bit = static_cast<std::size_t>(node);
  if (bit >= kMostNodes) return -EINVAL;
  mask.at(bit / kWordBits) = 1UL << bit % kWordBits;
  return result_of(static_cast<int>(mbind(where, bytes, MPOL_BIND, mask.data(), kMostNodes + 1, 0)));
}

int exclude_from_fork(std::byte* where, std::size_t bytes) { return result_of(madvise(where, bytes, MADV_DONTFORK)); }

int populate(std::byte* where, std::size_t bytes) {
  return result_of(madvise(where, bytes, kernel::kMadvPopulateWrite));
}

int populate_by_kernel(std::byte* where, std::size_t bytes, std::size_t page_bytes) {
  std::array<char, 1024> zeros{};  // one for each page of a call, which takes no more
  std::array<iovec, zeros.size()> pages{};
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t count = std::min(pages.size(), (bytes - at) / page_bytes);
    for (std::size_t i = 0; i < count; ++i) pages.at(i) = {.iov_base = where + at + i * page_bytes, .iov_len = 1};
    const iovec source{.iov_base = zeros.data(), .iov_len = count};
    const ssize_t written = process_vm_writev(getpid(), &source, 1, pages.data(), count, 0);
    if (written < 0) return -errno;
    if (static_cast<std::size_t>(written) < count) return -EFAULT;
    at += count * page_bytes;
  }
  return 0;
}

void populate_by_touch(std::byte* where, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 4096) *reinterpret_cast<volatile std::byte*>(where + at) = std::byte{0};
}

int lock(std::byte* where, std::size_t bytes) { return result_of(mlock(where, bytes)); }

int query_nodes(std::span<void* const> addresses, std::span<int> nodes) {
  return result_of(static_cast<int>(
      move_pages(0, addresses.size(), const_cast<void**>(addresses.data()), nullptr, nodes.data(), 0)));
}

namespace {

/// Of the mappings within the range.
std::size_t transparent_huge_in_mappings(const std::byte* where, std::size_t bytes) {
  const File smaps = open_file("/proc/self/smaps");
  if (!smaps) return 0;
  const auto first = reinterpret_cast<std::uintptr_t>(where);
  const std::uintptr_t last = first + bytes;
  bool inside = false;
  std::size_t total = 0;
  char line[512];
  while (std::fgets(line, sizeof line, smaps.get()) != nullptr) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    std::size_t kib = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      inside = from >= first && to <= last;
    } else if (inside && std::sscanf(line, "AnonHugePages: %zu kB", &kib) == 1) {
      total += kib * 1024;
    }
  }
  return total;
}

}  // namespace

// The kernel counts by mapping, and joins neighbours that are alike. What differs in a flag has a mapping of its own.
std::size_t transparent_huge_bytes(std::byte* where, std::size_t bytes) {
  if (madvise(where, bytes, MADV_DONTDUMP) != 0) return 0;
  const std::size_t total = transparent_huge_in_mappings(where, bytes);
  madvise(where, bytes, MADV_DODUMP);
  return total;
}

}  // namespace weir::os
