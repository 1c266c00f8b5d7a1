#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Address space and the pages behind it. Every function returns 0 (or a count) or -errno.

namespace weir::os {

enum class PageKind { huge_tlb_1g, huge_tlb_2m, transparent_huge, small };

constexpr bool is_huge_tlb(PageKind kind) { return kind == PageKind::huge_tlb_1g || kind == PageKind::huge_tlb_2m; }

/// Reserves address space that nothing backs: touching it is SIGSEGV. Returns nullptr when there is none. It takes no
/// memory in a process that locks all its memory (mlockall) either, and does not count against the limit on that.
/// REQUIRES: alignment is a power of two of at least a page.
std::byte* reserve(std::size_t bytes, std::size_t alignment);

/// The same of a file's first bytes, for reading and writing; and of new shared memory, which no file and no limit on
/// files has to do with. Returns nullptr with errno.
std::byte* reserve_file(int fd, std::size_t bytes);
std::byte* reserve_shared(std::size_t bytes);

/// Makes a part of what was reserved of a file or of shared memory one that may be touched.
int allow(std::byte* where, std::size_t bytes);

/// Puts memory of the kind at `where`, inside a reservation; nothing is populated or locked, whatever mlockall says. On
/// failure the range is reserved again.
int map_at(std::byte* where, std::size_t bytes, PageKind kind);

/// Takes the memory away and leaves the range reserved.
int unmap_to_reserved(std::byte* where, std::size_t bytes);

int release(std::byte* where, std::size_t bytes);

/// Binds the range to one node, before it is populated.
int bind_to_node(std::byte* where, std::size_t bytes, int node);

/// A child of fork does not get the range.
int exclude_from_fork(std::byte* where, std::size_t bytes);

/// Faults every page in for writing. -EFAULT when a page cannot be had; -EINVAL before Linux 5.14.
int populate(std::byte* where, std::size_t bytes);

/// The same on every kernel, with zeros that the kernel writes on our behalf: a page that cannot be had is -EFAULT to
/// it, where a write of our own would end in SIGBUS. REQUIRES: fresh pages of that size.
int populate_by_kernel(std::byte* where, std::size_t bytes, std::size_t page_bytes);

/// The same of a shared file's pages, with what is in them: the kernel reads them on our behalf.
int populate_by_read(std::byte* where, std::size_t bytes);

/// Faults every page in by writing to it. REQUIRES: fresh pages of no hugetlb kind, which cannot raise SIGBUS.
void populate_by_touch(std::byte* where, std::size_t bytes);

int lock(std::byte* where, std::size_t bytes);

/// Zeroes pages that are only read from now on, and that take no memory then, where all is locked (mlockall) either.
void make_zeros(std::byte* where, std::size_t bytes);

/// Writes the node of each address's page (negative: -errno of that page) to `nodes`.
int query_nodes(std::span<void* const> addresses, std::span<int> nodes);

/// Bytes of the range that transparent huge pages back, by /proc/self/smaps; 0 where that cannot be read.
/// REQUIRES: the range is mapped, and by default in core dumps.
std::size_t transparent_huge_bytes(std::byte* where, std::size_t bytes);

}  // namespace weir::os
