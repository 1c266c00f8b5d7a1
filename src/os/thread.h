#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

namespace weir::os {

/// Starts a thread of that name, of at most 15 characters, which takes no signals. Its stack is small, for in a process
/// that locks all its memory (mlockall) all of a stack takes memory. Returns 0 or -errno.
int start_thread(const char* name, void (*run)(void*), void* argument, pthread_t& started);
/// Waits for its end.
void join_thread(pthread_t thread);

/// True as long as this process has a thread of that number, as thread_id() gives it.
bool is_thread(std::uint32_t id);

/// Has a function called when a thread ends, with what the thread gave.
class ThreadEnd {
 public:
  explicit ThreadEnd(void (*at_end)(void*));
  ThreadEnd(const ThreadEnd&) = delete;
  ThreadEnd& operator=(const ThreadEnd&) = delete;

  /// For the calling thread, which may be ending already. Returns 0 or -errno. REQUIRES: what it gives is not nullptr.
  int call_with(void* given);
  /// From now on nothing is called: a library that is unloaded has no function to call.
  void give_up();

 private:
  pthread_key_t key_{};
  std::atomic<int> error_;
};

}  // namespace weir::os
