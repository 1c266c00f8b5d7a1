#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::os {

/// The soft limit on a resource of the process (RLIMIT_MEMLOCK); UINT64_MAX when there is none.
std::uint64_t soft_limit(__rlimit_resource resource);

/// Bytes that this process has locked.
std::uint64_t locked_bytes();

/// Whether the process has a privilege, by its number (CAP_IPC_LOCK).
bool has_privilege(unsigned capability);

/// This program's name, without its folder.
std::string program_name();

std::uint32_t process_id();
std::uint32_t thread_id();

/// Runs `in_child` in every child that fork makes from now on. Returns 0 or -errno.
int on_fork(void (*in_child)());

}  // namespace weir::os
