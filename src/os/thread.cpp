#include "os/thread.h"

#include <csignal>
#include <memory>

namespace weir::os {
namespace {

struct Start {
  void (*run)(void*);
  void* argument;
};

void* run_and_end(void* given) {
  const Start start = *std::unique_ptr<Start>(static_cast<Start*>(given));
  start.run(start.argument);
  return nullptr;
}

}  // namespace

int start_thread(const char* name, void (*run)(void*), void* argument, pthread_t& started) {
  auto start = std::make_unique<Start>(Start{run, argument});
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a thread begins with the mask of the one that makes it
  const int error = pthread_create(&started, nullptr, run_and_end, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return -error;
  (void)start.release();  // NOLINT(bugprone-unused-return-value): the thread's
  pthread_setname_np(started, name);
  return 0;
}

void join_thread(pthread_t thread) { pthread_join(thread, nullptr); }

}  // namespace weir::os
