#pragma once

#include <cstddef>
#include <cstdint>
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

/// This program's name, without its folder.
std::string program_name();

std::uint32_t process_id();
std::uint32_t thread_id();

/// Runs `in_child` in every child that fork makes from now on. Returns 0 or -errno.
int on_fork(void (*in_child)());

}  // namespace weir::os
