#include "watched.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "failure.h"
#include "process.h"

namespace weir::tool {
namespace {

bool has_memory(const File& map) {
  char first = 0;
  return map.read(&first, 1, 0);
}

}  // namespace

double seconds_between(const Sample& before, const Sample& now) {
  return std::chrono::duration<double>(now.at - before.at).count();
}

Watched::Watched(const Target& target) : target_(open_target(target)) {
  require_process(target_);
  if (!target_.process) return;
  require_own_proc();
  const pid_t id = target_.process->id;
  process_ = File(static_cast<int>(syscall(SYS_pidfd_open, id, 0)));
  if (!process_ && errno == ESRCH) tell_end();
  if (!process_) throw Failure(fmt::format("cannot see when process {} ends: {}", id, std::strerror(errno)));
  if (target_.process->thread == id) program_ = File(target_.process->file("maps"));
}

/// One that is ending has no memory any more, and is no other program.
bool Watched::runs_another() const {
  return program_ && !has_memory(program_) && has_memory(File(target_.process->file("maps")));
}

Sample Watched::look() const {
  Sample sample{.snapshot = look_at(target_), .at = std::chrono::steady_clock::now()};
  if (runs_another()) throw Failure(fmt::format("process {} runs another program now, by exec", target_.process->id));
  return sample;
}

void Watched::wait_until(std::chrono::steady_clock::time_point when) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - std::chrono::steady_clock::now());
    pollfd end{.fd = end_fd(), .events = POLLIN, .revents = 0};
    const int ready = poll(&end, 1, static_cast<int>(std::max(left.count(), {})));
    if (ready == 0) return;
    if (ready > 0) tell_end();
    if (errno != EINTR) throw Failure(fmt::format("cannot wait: {}", std::strerror(errno)));
  }
}

void Watched::tell_end() const { throw Failure(fmt::format("process {} has ended", target_.process->id)); }

}  // namespace weir::tool
