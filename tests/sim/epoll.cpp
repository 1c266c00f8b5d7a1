#include "sim/epoll.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace weir::sim {

int Epoll::add(int fd, std::shared_ptr<File> file, std::uint64_t data) {
  if (std::any_of(watches_.begin(), watches_.end(), [&](const Watch& each) { return each.fd == fd; })) return -EEXIST;
  watches_.push_back({fd, std::move(file), data});
  return 0;
}

int Epoll::remove(int fd) {
  return std::erase_if(watches_, [&](const Watch& each) { return each.fd == fd; }) > 0 ? 0 : -ENOENT;
}

bool Epoll::has_events() const {
  return std::any_of(watches_.begin(), watches_.end(), [](const Watch& each) { return each.file->readable(); });
}

std::vector<std::uint64_t> Epoll::names() const {
  std::vector<std::uint64_t> names;
  for (const Watch& each : watches_) names.push_back(each.data);
  return names;
}

bool Epoll::watches(const File& file) const {
  return std::any_of(watches_.begin(), watches_.end(), [&](const Watch& each) { return each.file.get() == &file; });
}

std::vector<epoll_event> Epoll::wait(Random& random) const {
  std::vector<epoll_event> events;
  for (const Watch& each : watches_) {
    if (!each.file->readable()) continue;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = each.data;
    events.insert(events.begin() + static_cast<std::ptrdiff_t>(random.below(events.size() + 1)), event);
  }
  if (!events.empty() && random.chance(20)) events.resize(random.between(1, events.size()));
  return events;
}

}  // namespace weir::sim
