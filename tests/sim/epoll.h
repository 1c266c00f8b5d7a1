#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/files.h"
#include "sim/random.h"

namespace weir::sim {

/// A stand-in for an epoll: files that are reported as long as they can be read.
class Epoll {
 public:
  /// 0 or -errno.
  int add(int fd, std::shared_ptr<File> file, std::uint64_t data);
  int remove(int fd);

  bool has_events() const;
  /// Some of those that are due, in any order.
  std::vector<epoll_event> wait(Random& random) const;
  /// The data of each file.
  std::vector<std::uint64_t> names() const;
  bool watches(const File& file) const;

 private:
  struct Watch {
    int fd;
    std::shared_ptr<File> file;
    std::uint64_t data;
  };
  std::vector<Watch> watches_;
};

}  // namespace weir::sim
