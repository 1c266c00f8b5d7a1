#pragma once

#include <cstdint>
#include <string>

namespace weir::os {

/// RLIMIT_MEMLOCK in bytes; UINT64_MAX when there is none.
std::uint64_t memlock_limit();

/// This program's name, without its folder.
std::string program_name();

std::uint32_t process_id();
std::uint32_t thread_id();

/// Runs `in_child` in every child that fork makes from now on. Returns 0 or -errno.
int on_fork(void (*in_child)());

}  // namespace weir::os
