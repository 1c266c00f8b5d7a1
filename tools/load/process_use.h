#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace weir::load {

/// CPU time of the process's living threads. Throws Error when there is no such process.
std::chrono::nanoseconds cpu_time_of(pid_t pid);

/// Resident memory of the process, huge pages included. Throws Error when there is no such process.
std::size_t resident_bytes_of(pid_t pid);

}  // namespace weir::load
