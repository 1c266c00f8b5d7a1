#include "os/thread.h"

#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <span>

#include "base/no_cancel.h"

namespace weir::os {
namespace {

constexpr std::size_t kStackBytes = std::size_t{512} * 1024;  // for the helper, which calls the program back

/// The program's and its libraries' thread-local memory, most of which the C library takes from a thread's stack.
std::size_t thread_local_bytes() {
  std::size_t bytes = 0;
  const auto add = [](dl_phdr_info* module, std::size_t, void* sum) {
    for (const ElfW(Phdr) & part : std::span(module->dlpi_phdr, module->dlpi_phnum)) {
      if (part.p_type == PT_TLS) *static_cast<std::size_t*>(sum) += part.p_memsz + part.p_align;
    }
    return 0;
  };
  dl_iterate_phdr(add, &bytes);
  return bytes;
}

class SmallStack {
 public:
  SmallStack() {
    pthread_attr_init(&attributes_);
    pthread_attr_setstacksize(&attributes_, kStackBytes + thread_local_bytes());
  }
  ~SmallStack() { pthread_attr_destroy(&attributes_); }
  SmallStack(const SmallStack&) = delete;
  SmallStack& operator=(const SmallStack&) = delete;
  const pthread_attr_t* get() const { return &attributes_; }

 private:
  pthread_attr_t attributes_{};
};

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
  const SmallStack small;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a thread begins with the mask of the one that makes it
  int error = pthread_create(&started, small.get(), run_and_end, start.get());
  // The C library can be told to keep much more room for thread-local memory than there is of it.
  if (error == EINVAL) error = pthread_create(&started, nullptr, run_and_end, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return -error;
  (void)start.release();  // NOLINT(bugprone-unused-return-value): the thread's
  pthread_setname_np(started, name);
  return 0;
}

void join_thread(pthread_t thread) {
  const base::NoCancel no_cancel;
  pthread_join(thread, nullptr);
}

bool is_thread(std::uint32_t id) { return tgkill(getpid(), static_cast<pid_t>(id), 0) == 0 || errno != ESRCH; }

ThreadEnd::ThreadEnd(void (*at_end)(void*)) : error_(-pthread_key_create(&key_, at_end)) {}

int ThreadEnd::call_with(void* given) {
  const int error = error_;
  return error != 0 ? error : -pthread_setspecific(key_, given);
}

void ThreadEnd::give_up() {
  if (error_.exchange(-EINVAL) == 0) pthread_key_delete(key_);
}

}  // namespace weir::os
