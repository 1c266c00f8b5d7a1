#include "os/process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace weir::os {

std::uint64_t memlock_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

std::string program_name() { return program_invocation_short_name; }

std::uint32_t process_id() { return static_cast<std::uint32_t>(getpid()); }

std::uint32_t thread_id() { return static_cast<std::uint32_t>(gettid()); }

int on_fork(void (*in_child)()) { return -pthread_atfork(nullptr, nullptr, in_child); }

}  // namespace weir::os
