#pragma once

#include <cstddef>
#include <span>

namespace bench {

/// What every kind of server is told.
struct Task {
  int listener;            ///< does not block
  std::size_t pool_bytes;  ///< of those that have a pool: their buffers, all together
};

struct Kind {
  const char* name;
  const char* about;
  void (*serve)(const Task& task);  ///< returns never; throws weir::Error when it cannot begin or go on
};

void serve_epoll_shared(const Task& task);
void serve_epoll_16k(const Task& task);
void serve_single_shot(const Task& task);
void serve_poll_receive(const Task& task);
void serve_ring_4k(const Task& task);
void serve_ring_16k(const Task& task);
void serve_incremental(const Task& task);

}  // namespace bench
