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

#include "base/units.h"
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

constexpr int kNothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

/// After mlockall(MCL_FUTURE), what mmap maps is locked, and populated where it may be touched.
std::byte* map_unlocked(void* where, std::size_t bytes, int flags) {
  void* got = mmap(where, bytes, PROT_NONE, flags, -1, 0);
  if (got == MAP_FAILED) return nullptr;
  munlock(got, bytes);
  return static_cast<std::byte*>(got);
}

/// The same by one page that grows, so that one page is all that counts against the limit on locked memory.
std::byte* map_growing(std::size_t bytes, int flags, int fd) {
  void* page = mmap(nullptr, base::kSmallPage, PROT_NONE, flags, fd, 0);
  if (page == MAP_FAILED) return nullptr;
  munlock(page, base::kSmallPage);
  void* got = mremap(page, base::kSmallPage, bytes, MREMAP_MAYMOVE);
  if (got != MAP_FAILED) return static_cast<std::byte*>(got);
  const int error = errno;
  munmap(page, base::kSmallPage);
  errno = error;
  return nullptr;
}

using Transfer = decltype(process_vm_writev);

/// Has the kernel read or write the first byte of each page: one that cannot be had is -EFAULT.
int touch_by_kernel(Transfer& transfer, std::byte* where, std::size_t bytes, std::size_t page_bytes) {
  std::array<char, 1024> zeros{};  // one for each page of a call, which takes no more
  std::array<iovec, zeros.size()> pages{};
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t count = std::min(pages.size(), (bytes - at) / page_bytes);
    for (std::size_t i = 0; i < count; ++i) pages.at(i) = {.iov_base = where + at + i * page_bytes, .iov_len = 1};
    const iovec local{.iov_base = zeros.data(), .iov_len = count};
    const ssize_t done = transfer(getpid(), &local, 1, pages.data(), count, 0);
    if (done < 0) return -errno;
    if (static_cast<std::size_t>(done) < count) return -EFAULT;
    at += count * page_bytes;
  }
  return 0;
}

}  // namespace

std::byte* reserve(std::size_t bytes, std::size_t alignment) {
  std::byte* start = map_growing(bytes + alignment, kNothing, -1);
  if (start == nullptr) return nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const std::size_t skip = (alignment - address % alignment) % alignment;
  if (skip > 0) munmap(start, skip);
  munmap(start + skip + bytes, alignment - skip);
  return start + skip;
}

std::byte* reserve_file(int fd, std::size_t bytes) { return map_growing(bytes, MAP_SHARED, fd); }

std::byte* reserve_shared(std::size_t bytes) {
  return map_unlocked(nullptr, bytes, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE);
}

int allow(std::byte* where, std::size_t bytes) { return result_of(mprotect(where, bytes, PROT_READ | PROT_WRITE)); }

int map_at(std::byte* where, std::size_t bytes, PageKind kind) {
  if (map_unlocked(where, bytes, flags_of(kind)) == nullptr || allow(where, bytes) != 0) {
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
  munlock(where, bytes);  // the limit on locked memory may not have room for both
  return map_unlocked(where, bytes, kNothing | MAP_FIXED) == nullptr ? -errno : 0;
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
  return touch_by_kernel(process_vm_writev, where, bytes, page_bytes);
}

int populate_by_read(std::byte* where, std::size_t bytes) {
  return touch_by_kernel(process_vm_readv, where, bytes, base::kSmallPage);
}

void populate_by_touch(std::byte* where, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 4096) *reinterpret_cast<volatile std::byte*>(where + at) = std::byte{0};
}

int lock(std::byte* where, std::size_t bytes) { return result_of(mlock(where, bytes)); }

void make_zeros(std::byte* where, std::size_t bytes) {
  munlock(where, bytes);
  madvise(where, bytes, MADV_DONTNEED);
  mprotect(where, bytes, PROT_READ);
}

int query_nodes(std::span<void* const> addresses, std::span<int> nodes) {
  return result_of(static_cast<int>(
      move_pages(0, addresses.size(), const_cast<void**>(addresses.data()), nullptr, nodes.data(), 0)));
}

namespace {

/// Of the mappings within the range.
std::size_t transparent_huge_in_mappings(const std::byte* where, std::size_t bytes) {
  const File smaps("/proc/self/smaps");
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
