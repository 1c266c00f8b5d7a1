#include "watched.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "failure.h"

namespace weir::tool {

double seconds_between(const Sample& before, const Sample& now) {
  return std::chrono::duration<double>(now.at - before.at).count();
}

Watched::Watched(const Target& target) : target_(open_target(target)) {
  require_process(target_);
  if (!target_.pid) return;
  process_ = File(static_cast<int>(syscall(SYS_pidfd_open, *target_.pid, 0)));
  if (process_) return;
  if (errno == ESRCH) tell_end();
  throw Failure(fmt::format("cannot see when process {} ends: {}", *target_.pid, std::strerror(errno)));
}

Sample Watched::look() const {
  Sample sample{.snapshot = take_snapshot(*target_.reader), .at = std::chrono::steady_clock::now()};
  if (target_.pid) sample.snapshot.pid = static_cast<std::uint32_t>(*target_.pid);
  return sample;
}

void Watched::tell_end() const { throw Failure(fmt::format("process {} has ended", *target_.pid)); }

}  // namespace weir::tool
