#include "process_use.h"

#include <weir/error.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace weir::load {
namespace {

Error no_process(pid_t pid) {
  return Error(ESRCH, "there is no process " + std::to_string(pid) + " to look at: it has ended, or is another user's");
}

}  // namespace

std::chrono::nanoseconds cpu_time_of(pid_t pid) {
  std::error_code error;
  std::chrono::nanoseconds sum{};
  bool found = false;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    std::ifstream file(task.path() / "schedstat");
    std::chrono::nanoseconds::rep on_cpu = 0;
    if (file >> on_cpu) found = true;
    sum += std::chrono::nanoseconds(on_cpu);
  }
  if (!found) throw no_process(pid);
  return sum;
}

std::size_t resident_bytes_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::size_t kibibytes = 0;
  bool found = false;
  for (std::string word; file >> word;) {
    if (word != "VmRSS:" && word != "HugetlbPages:") continue;
    std::size_t value = 0;
    file >> value;
    kibibytes += value;
    found = true;
  }
  if (!found) throw no_process(pid);
  return kibibytes * 1024;
}

}  // namespace weir::load
