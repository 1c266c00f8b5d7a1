#include "sim/kernel.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/report.h"

namespace weir::sim {
namespace {

Kernel* the_kernel = nullptr;

}  // namespace

Kernel::Kernel(Random& random, const Personality& personality, Shape shape)
    : random_(random), personality_(personality), queues_(shape.submissions, shape.completions, shape.flags) {
  the_kernel = this;
}

Kernel::~Kernel() { the_kernel = nullptr; }

Kernel& Kernel::current() { return *the_kernel; }

void Kernel::close(int fd) {
  (void)epoll_.remove(fd);
  files_.close(fd);
}

int Kernel::receive(int fd, std::span<std::byte> room) {
  const std::shared_ptr<File> file = at(fd);
  if (file == nullptr) violate("descriptor %d is received from, which is closed", fd);
  const int result = file->receive(room.first(short_of(room.size())));
  trace("kernel: recv of %llu: %d", static_cast<unsigned long long>(file->id), result);
  if (result > 0) {
    file->note_buffers(1);
    file->heard = now_;
    file->handed.push_back({room.data(), static_cast<std::size_t>(result)});
  }
  return result;
}

int Kernel::peek(int fd) const {
  const std::shared_ptr<File> file = at(fd);
  if (file == nullptr) violate("descriptor %d is looked at, which is closed", fd);
  return file->has_data() ? 1 : file->receive({});
}

bool Kernel::is_readable(int fd) const {
  const std::shared_ptr<File> file = at(fd);
  if (file == nullptr) violate("descriptor %d is polled, which is closed", fd);
  return file->readable();
}

void Kernel::submit() {
  for (const io_uring_sqe& each : queues_.take_submissions()) accept(each);
}

void Kernel::enter() {
  submit();
  if (random_.chance(80)) {
    while (run_once()) continue;
  } else {
    for (std::size_t left = random_.below(4); left > 0 && run_once();) --left;
  }
  queues_.flush();
}

bool Kernel::run_once() {
  std::vector<std::size_t> due;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (is_due(requests_[i])) due.push_back(i);
  }
  if (due.empty()) return false;
  const std::size_t index = due[random_.below(due.size())];
  Request& request = requests_[index];
  const int broken_off = breaks_off(request);
  if (broken_off != 0 ? end(request, broken_off) : proceed(request)) remove(index);
  return true;
}

/// -errno, rarely: there was a signal, or the thread that asked has ended.
int Kernel::breaks_off(const Request& request) {
  if (request.ending != Request::Ending::none || !random_.chance(1)) return 0;
  if (!queues_.deferred() && random_.chance(50)) return -ECANCELED;
  return request.poll ? 0 : -EINTR;
}

void Kernel::run_unasked() {
  if (queues_.deferred()) return;
  for (std::size_t left = random_.below(3); left > 0 && run_once();) --left;
}

bool Kernel::has_work() const {
  return std::any_of(requests_.begin(), requests_.end(), [this](const Request& each) { return is_due(each); });
}

bool Kernel::is_due(const Request& request) const {
  return request.ending != Request::Ending::none || says_something(request);
}

bool Kernel::says_something(const Request& request) {
  return request.hides_end ? request.file->has_data() : request.file->readable();
}

void Kernel::remove(std::size_t index) { requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(index)); }

int Kernel::register_group(void* memory, unsigned entries, std::uint16_t id, bool incremental) {
  if (!personality_.buffer_rings || (incremental && !personality_.incremental)) return -EINVAL;
  if (id < 64) violate("group %u is registered: numbers below 64 are not safe on Linux 6.1", id);
  if (std::any_of(groups_.begin(), groups_.end(), [&](const BufferGroup& each) { return each.id() == id; }))
    return -EEXIST;
  groups_.emplace_back(memory, entries, id, incremental);
  trace("kernel: group %u is registered, %u entries%s", id, entries, incremental ? ", incremental" : "");
  return 0;
}

/// Multishots of the group stay armed: those that meet data now find no group.
int Kernel::unregister_group(std::uint16_t id) {
  const auto group = std::find_if(groups_.begin(), groups_.end(), [&](auto& each) { return each.id() == id; });
  if (group == groups_.end()) return -ENOENT;
  if (group->opened().data != nullptr) unfinished_.push_back(group->opened());
  groups_.erase(group);
  trace("kernel: group %u is unregistered", id);
  if (personality_.swap_runs_tasks) {
    for (std::size_t left = random_.below(3); left > 0 && run_once();) --left;
  } else {
    run_unasked();
  }
  return 0;
}

}  // namespace weir::sim
