#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace weir::tool {

File::File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

bool File::is_regular() const {
  struct stat status {};
  return fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
}

bool File::has_name() const {
  struct stat status {};
  return fstat(fd_, &status) == 0 && status.st_nlink > 0;
}

File::Identity File::identity() const {
  struct stat status {};
  return fstat(fd_, &status) == 0 ? Identity{status.st_dev, status.st_ino} : Identity{};
}

std::size_t File::size() const {
  struct stat status {};
  return fstat(fd_, &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::optional<std::pair<std::size_t, std::size_t>> File::data_from(std::size_t offset) const {
  const off_t start = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  const off_t end = start < 0 ? start : lseek(fd_, start, SEEK_HOLE);
  if (end <= start) return std::nullopt;
  return std::pair{static_cast<std::size_t>(start), static_cast<std::size_t>(end)};
}

bool File::read(void* into, std::size_t bytes, std::size_t offset) const {
  auto* to = static_cast<std::byte*>(into);
  while (bytes > 0) {
    const ssize_t got = pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<std::size_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace weir::tool
