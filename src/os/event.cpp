#include "os/event.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/no_cancel.h"

namespace weir::os {

int make_event() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

void signal_event(int fd) {
  const base::NoCancel no_cancel;
  (void)eventfd_write(fd, 1);  // fails only when it is readable already
}

void clear_event(int fd) {
  const base::NoCancel no_cancel;
  eventfd_t value = 0;
  (void)eventfd_read(fd, &value);
}

void close_event(int fd) {
  const base::NoCancel no_cancel;
  close(fd);
}

}  // namespace weir::os
