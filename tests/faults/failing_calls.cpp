#include "faults/failing_calls.h"

#include <fcntl.h>
#include <liburing.h>
#include <numa.h>
#include <numaif.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <initializer_list>
#include <mutex>
#include <utility>

#include "os/kernel_numbers.h"

namespace weir::testing {
namespace {

struct Plan {
  std::mutex mutex;
  bool counting = false;
  bool before_5_14 = false;
  std::size_t position = kNone;
  int error = 0;
  std::vector<Call> calls;
  void* refused = nullptr;  ///< a range that munmap was refused for
  std::size_t refused_bytes = 0;
};

Plan& plan() {
  static Plan instance;
  return instance;
}

/// The errno that the call must fail with now; 0 when it must not.
int failure(const char* name, std::initializer_list<int> errors) {
  const std::lock_guard lock(plan().mutex);
  if (!plan().counting) return 0;
  plan().calls.push_back({name, errors});
  return plan().calls.size() - 1 == plan().position ? plan().error : 0;
}

/// Fails as most calls do: with -1 and errno, having done nothing.
template <typename Real>
auto call(const char* name, std::initializer_list<int> errors, Real real) -> decltype(real()) {
  const int error = failure(name, errors);
  if (error == 0) return real();
  errno = error;
  return -1;
}

/// Fails as liburing's functions do: with -errno.
template <typename Real>
int ring_call(const char* name, std::initializer_list<int> errors, Real real) {
  const int error = failure(name, errors);
  return error == 0 ? real() : -error;
}

bool is_unknown(int advice) {
  const std::lock_guard lock(plan().mutex);
  return plan().before_5_14 && advice == os::kernel::kMadvPopulateWrite;
}

/// The caller can do nothing about a range that stays mapped: the test unmaps it in the end.
void keep_refused(void* where, std::size_t bytes) {
  const std::lock_guard lock(plan().mutex);
  plan().refused = where;
  plan().refused_bytes = bytes;
}

}  // namespace

void start_counting(std::size_t position, int error) {
  const std::lock_guard lock(plan().mutex);
  plan().counting = true;
  plan().position = position;
  plan().error = error;
  plan().calls.clear();
}

std::vector<Call> stop_counting() {
  const std::lock_guard lock(plan().mutex);
  plan().counting = false;
  if (plan().refused != nullptr) munmap(std::exchange(plan().refused, nullptr), plan().refused_bytes);
  return std::move(plan().calls);
}

void be_before_5_14() {
  const std::lock_guard lock(plan().mutex);
  plan().before_5_14 = true;
}

}  // namespace weir::testing

using weir::testing::call;
using weir::testing::failure;
using weir::testing::ring_call;

extern "C" {

/// Huge pages that are not there are found out after the old mapping has gone.
void* failing_mmap(void* where, std::size_t bytes, int access, int flags, int fd, off_t offset) {
  const int error = failure("mmap", {ENOMEM, EPERM});
  if (error == 0) return mmap(where, bytes, access, flags, fd, offset);
  if ((flags & MAP_HUGETLB) != 0) munmap(where, bytes);
  errno = error;
  return MAP_FAILED;
}

int failing_munmap(void* where, std::size_t bytes) {
  const int error = failure("munmap", {ENOMEM});
  if (error == 0) return munmap(where, bytes);
  weir::testing::keep_refused(where, bytes);
  errno = error;
  return -1;
}

int failing_madvise(void* where, std::size_t bytes, int advice) {
  if (weir::testing::is_unknown(advice)) {
    errno = EINVAL;
    return -1;
  }
  return call("madvise", {ENOMEM, EFAULT, EINVAL, EHWPOISON}, [&] { return madvise(where, bytes, advice); });
}

long failing_mbind(void* where, unsigned long bytes, int mode, const unsigned long* nodes, unsigned long most,
                   unsigned flags) {
  return call("mbind", {EPERM, ENOSYS, EINVAL, ENOMEM}, [&] { return mbind(where, bytes, mode, nodes, most, flags); });
}

int failing_mlock(const void* where, std::size_t bytes) {
  return call("mlock", {ENOMEM, EPERM, EAGAIN}, [&] { return mlock(where, bytes); });
}

int failing_munlock(const void* where, std::size_t bytes) {
  return call("munlock", {ENOMEM}, [&] { return munlock(where, bytes); });
}

int failing_mprotect(void* where, std::size_t bytes, int access) {
  return call("mprotect", {ENOMEM}, [&] { return mprotect(where, bytes, access); });
}

/// src/os asks it for another place only.
void* failing_mremap(void* where, std::size_t before, std::size_t after, int flags) {
  const int error = failure("mremap", {ENOMEM});
  if (error == 0) return mremap(where, before, after, flags);
  errno = error;
  return MAP_FAILED;
}

long failing_move_pages(int process, unsigned long count, void** pages, const int* nodes, int* status, int flags) {
  return call("move_pages", {EPERM, ENOSYS, ENOMEM},
              [&] { return move_pages(process, count, pages, nodes, status, flags); });
}

ssize_t failing_process_vm_readv(pid_t process, const iovec* to, unsigned long to_count, const iovec* from,
                                 unsigned long from_count, unsigned long flags) {
  return call("process_vm_readv", {EFAULT, EPERM, ENOSYS, ENOMEM},
              [&] { return process_vm_readv(process, to, to_count, from, from_count, flags); });
}

ssize_t failing_process_vm_writev(pid_t process, const iovec* from, unsigned long from_count, const iovec* to,
                                  unsigned long to_count, unsigned long flags) {
  return call("process_vm_writev", {EFAULT, EPERM, ENOSYS, ENOMEM},
              [&] { return process_vm_writev(process, from, from_count, to, to_count, flags); });
}

std::FILE* __real_fopen(const char* path, const char* mode);
std::FILE* __wrap_fopen(const char* path, const char* mode) {
  const int error = failure("fopen", {EMFILE, ENOENT});
  if (error == 0) return __real_fopen(path, mode);
  errno = error;
  return nullptr;
}

/// Linux closes the file even when it reports an error.
int failing_close(int fd) {
  const int closed = close(fd);
  return call("close", {EINTR}, [&] { return closed; });
}

int failing_memfd_create(const char* name, unsigned flags) {
  return call("memfd_create", {EMFILE, ENOMEM, EINVAL, EACCES, ENOSYS}, [&] { return memfd_create(name, flags); });
}

int failing_ftruncate(int fd, off_t bytes) {
  return call("ftruncate", {EFBIG, EINTR}, [&] { return ftruncate(fd, bytes); });
}

/// src/os asks it for numbers only.
int failing_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const int value = va_arg(arguments, int);
  va_end(arguments);
  return call("fcntl", {EINVAL, EPERM}, [&] { return fcntl(fd, command, value); });
}

int failing_eventfd(unsigned value, int flags) {
  return call("eventfd", {EMFILE, ENOMEM}, [&] { return eventfd(value, flags); });
}

/// Fails only when it is readable already.
int failing_eventfd_write(int fd, eventfd_t value) {
  const int written = eventfd_write(fd, value);
  return call("eventfd_write", {EAGAIN}, [&] { return written; });
}

int failing_eventfd_read(int fd, eventfd_t* value) {
  return call("eventfd_read", {EAGAIN}, [&] { return eventfd_read(fd, value); });
}

int failing_getrlimit(__rlimit_resource_t what, rlimit* limit) {
  return call("getrlimit", {EFAULT}, [&] { return getrlimit(what, limit); });
}

int failing_sched_getcpu() {
  return call("sched_getcpu", {ENOSYS}, [] { return sched_getcpu(); });
}

int failing_pthread_atfork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  const int error = failure("pthread_atfork", {ENOMEM});
  return error == 0 ? pthread_atfork(before, in_parent, in_child) : error;
}

int failing_pthread_key_create(pthread_key_t* key, void (*at_end)(void*)) {
  const int error = failure("pthread_key_create", {EAGAIN});
  return error == 0 ? pthread_key_create(key, at_end) : error;
}

int failing_pthread_setspecific(pthread_key_t key, const void* value) {
  const int error = failure("pthread_setspecific", {ENOMEM});
  return error == 0 ? pthread_setspecific(key, value) : error;
}

int failing_tgkill(pid_t process, pid_t thread, int signal) {
  return call("tgkill", {EPERM}, [&] { return tgkill(process, thread, signal); });
}

int failing_pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* argument) {
  const int error = failure("pthread_create", {EAGAIN});
  return error == 0 ? pthread_create(thread, how, run, argument) : error;
}

int failing_numa_available() {
  return call("numa_available", {ENOSYS}, [] { return numa_available(); });
}

long long failing_numa_node_size64(int node, long long* free) {
  return call("numa_node_size64", {ENOENT}, [&] { return numa_node_size64(node, free); });
}

int failing_numa_node_of_cpu(int cpu) {
  return call("numa_node_of_cpu", {EINVAL}, [&] { return numa_node_of_cpu(cpu); });
}

/// Knows no distance: 0.
int failing_numa_distance(int from, int to) {
  return failure("numa_distance", {EINVAL}) == 0 ? numa_distance(from, to) : 0;
}

int failing_io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* request, unsigned flags) {
  return ring_call("io_uring_register_buf_ring", {ENOMEM, EINVAL, EEXIST, EPERM},
                   [&] { return io_uring_register_buf_ring(ring, request, flags); });
}

int failing_io_uring_unregister_buf_ring(io_uring* ring, int group) {
  return ring_call("io_uring_unregister_buf_ring", {EINVAL, EEXIST},
                   [&] { return io_uring_unregister_buf_ring(ring, group); });
}

int failing_io_uring_register_buffers(io_uring* ring, const iovec* ranges, unsigned count) {
  return ring_call("io_uring_register_buffers", {ENOMEM, EFAULT, EBUSY, EOPNOTSUPP},
                   [&] { return io_uring_register_buffers(ring, ranges, count); });
}

int failing_io_uring_register_buffers_update_tag(io_uring* ring, unsigned first, const iovec* ranges,
                                                 const unsigned long long* tags, unsigned count) {
  return ring_call("io_uring_register_buffers_update_tag", {ENOMEM, EFAULT, EINVAL},
                   [&] { return io_uring_register_buffers_update_tag(ring, first, ranges, tags, count); });
}

int failing_io_uring_unregister_buffers(io_uring* ring) {
  return ring_call("io_uring_unregister_buffers", {ENXIO, EEXIST}, [&] { return io_uring_unregister_buffers(ring); });
}

ssize_t failing_recv(int fd, void* buffer, size_t bytes, int flags) {
  return call("recv", {EAGAIN, EINTR, ENOMEM}, [&] { return recv(fd, buffer, bytes, flags); });
}

int failing_poll(pollfd* files, nfds_t count, int timeout) {
  return call("poll", {EINTR, ENOMEM}, [&] { return poll(files, count, timeout); });
}

int failing_socket(int family, int type, int protocol) {
  return call("socket", {EMFILE, ENOBUFS}, [&] { return socket(family, type, protocol); });
}

ssize_t failing_sendto(int fd, const void* data, size_t bytes, int flags, const sockaddr* to, socklen_t length) {
  return call("sendto", {EAGAIN, ENOBUFS}, [&] { return sendto(fd, data, bytes, flags, to, length); });
}

int failing_getsockopt(int fd, int level, int option, void* value, socklen_t* length) {
  return call("getsockopt", {ENOBUFS}, [&] { return getsockopt(fd, level, option, value, length); });
}

int failing_uname(utsname* name) {
  return call("uname", {EFAULT}, [&] { return uname(name); });
}

/// Fails to add; what is taken out is out in any case.
int failing_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_DEL) return epoll_ctl(epoll, operation, fd, event);
  return call("epoll_ctl", {ENOSPC, ENOMEM, EPERM}, [&] { return epoll_ctl(epoll, operation, fd, event); });
}

int failing_io_uring_register_probe(io_uring* ring, io_uring_probe* probe, unsigned operations) {
  return ring_call("io_uring_register_probe", {ENOMEM, EPERM},
                   [&] { return io_uring_register_probe(ring, probe, operations); });
}

}  // extern "C"
