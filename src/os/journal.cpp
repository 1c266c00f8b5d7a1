#include "os/journal.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "base/no_cancel.h"

namespace weir::os {

int send_to_journal(std::string_view entry) noexcept {
  const base::NoCancel no_cancel;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const sockaddr_un journal{.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
  const auto* address = reinterpret_cast<const sockaddr*>(&journal);
  const ssize_t sent = sendto(fd, entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address, sizeof journal);
  const int error = sent < 0 ? -errno : 0;
  close(fd);
  return error;
}

}  // namespace weir::os
