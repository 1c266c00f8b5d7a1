#include "os/process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "os/file.h"

namespace weir::os {
std::uint64_t soft_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

std::uint64_t locked_bytes() { return number_of("/proc/self/status", "VmLck:", 10) * 1024; }

bool has_privilege(unsigned capability) {
  return (number_of("/proc/self/status", "CapEff:", 16) >> capability & 1) != 0;
}

std::string program_name() { return program_invocation_short_name; }

std::uint32_t process_id() { return static_cast<std::uint32_t>(getpid()); }

std::uint32_t thread_id() { return static_cast<std::uint32_t>(gettid()); }

int on_fork(void (*in_child)()) { return -pthread_atfork(nullptr, nullptr, in_child); }

}  // namespace weir::os
