#pragma once

#include <pthread.h>

namespace weir::os {

/// Starts a thread of that name, of at most 15 characters, which takes no signals. Returns 0 or -errno.
int start_thread(const char* name, void (*run)(void*), void* argument, pthread_t& started);
/// Waits for its end.
void join_thread(pthread_t thread);

}  // namespace weir::os
