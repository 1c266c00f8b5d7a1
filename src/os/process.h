#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace weir::os {

/// RLIMIT_MEMLOCK in bytes; UINT64_MAX when there is none.
std::uint64_t memlock_limit();

/// The most bytes that a file may grow to (RLIMIT_FSIZE), memory files counted; UINT64_MAX when there is no limit.
std::uint64_t file_size_limit();

/// Bytes that this process has locked.
std::uint64_t locked_bytes();

/// Whether the process has the privilege (CAP_IPC_LOCK) to lock more than the limit.
bool may_exceed_memlock();

/// A limit of a control group on memory, or on threads.
struct GroupLimit {
  std::string file;
  std::uint64_t bytes = 0;
  std::uint64_t used = 0;
  std::uint64_t left() const { return bytes > used ? bytes - used : 0; }
};

/// Of the limits on hugetlb pages of this size in the process's control group and those above it (version 2), the one
/// that leaves the least; nothing when there is none, or none that can be read.
std::optional<GroupLimit> hugetlb_limit(std::size_t page_bytes);

/// The same of the limits on all other memory.
std::optional<GroupLimit> memory_limit();

/// The same of the limits on threads, which are no bytes.
std::optional<GroupLimit> task_limit();

/// This program's name, without its folder.
std::string program_name();

std::uint32_t process_id();
std::uint32_t thread_id();

/// Runs `in_child` in every child that fork makes from now on. Returns 0 or -errno.
int on_fork(void (*in_child)());

}  // namespace weir::os
