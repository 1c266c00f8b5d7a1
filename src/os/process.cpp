#include "os/process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

#include "os/file.h"

namespace weir::os {
namespace {

constexpr unsigned kCapIpcLock = 14;

std::uint64_t limit_on(decltype(RLIMIT_FSIZE) resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

/// What follows the key in the first line that starts with it; nothing when there is no such line, or no such file.
std::optional<std::string> line_of(const std::string& path, std::string_view key) {
  const File file(path.c_str());
  char part[512];
  while (file && std::fgets(part, sizeof part, file.get()) != nullptr) {
    std::string_view line = part;
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    return std::string(line.substr(0, line.find('\n')));
  }
  return {};
}

/// A number in a line like that; 0 when there is none.
std::uint64_t number_of(const std::string& path, std::string_view key, int base) {
  return std::strtoull(line_of(path, key).value_or("").c_str(), nullptr, base);
}

std::optional<GroupLimit> limit_in(const std::string& group, const std::string& kind) {
  const std::string file = group + "/" + kind + ".max";
  const std::string limit = line_of(file, "").value_or("max");
  if (limit == "max") return {};
  const std::uint64_t used = number_of(group + "/" + kind + ".current", "", 10);
  return GroupLimit{file, std::strtoull(limit.c_str(), nullptr, 10), used};
}

/// In the process's group and those above it.
std::optional<GroupLimit> least_limit(std::initializer_list<std::string> kinds) {
  const std::string root = "/sys/fs/cgroup";
  std::string group = root + line_of("/proc/self/cgroup", "0::").value_or("/");
  if (group.back() == '/') group.pop_back();
  std::optional<GroupLimit> least;
  for (; group.size() >= root.size(); group.resize(group.rfind('/'))) {
    for (const std::string& kind : kinds) {
      const std::optional<GroupLimit> limit = limit_in(group, kind);
      if (limit && (!least || limit->left() < least->left())) least = limit;
    }
  }
  return least;
}

}  // namespace

std::uint64_t memlock_limit() { return limit_on(RLIMIT_MEMLOCK); }

std::uint64_t file_size_limit() { return limit_on(RLIMIT_FSIZE); }

std::uint64_t locked_bytes() { return number_of("/proc/self/status", "VmLck:", 10) * 1024; }

bool may_exceed_memlock() { return (number_of("/proc/self/status", "CapEff:", 16) >> kCapIpcLock & 1) != 0; }

std::optional<GroupLimit> hugetlb_limit(std::size_t page_bytes) {
  const bool giant = page_bytes >> 30 != 0;
  const std::string used = "hugetlb." + std::to_string(page_bytes >> (giant ? 30 : 20)) + (giant ? "GB" : "MB");
  return least_limit({used, used + ".rsvd"});
}

std::optional<GroupLimit> memory_limit() { return least_limit({"memory"}); }

std::optional<GroupLimit> task_limit() { return least_limit({"pids"}); }

std::string program_name() { return program_invocation_short_name; }

std::uint32_t process_id() { return static_cast<std::uint32_t>(getpid()); }

std::uint32_t thread_id() { return static_cast<std::uint32_t>(gettid()); }

int on_fork(void (*in_child)()) { return -pthread_atfork(nullptr, nullptr, in_child); }

}  // namespace weir::os
