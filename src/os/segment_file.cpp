#include "os/segment_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/no_cancel.h"
#include "base/units.h"
#include "os/kernel_numbers.h"
#include "os/memory.h"
#include "os/process.h"

namespace weir::os {
namespace {

int make_file(const char* name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = memfd_create(name, kFlags | kernel::kMfdNoexecSeal);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create(name, kFlags);
}

/// REQUIRES: the limit on the size of files allows so many, for else the process is sent SIGXFSZ.
int fill(SegmentFile& file, std::size_t bytes) {
  struct stat status {};
  if (fstat(file.fd, &status) != 0) return -errno;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  if (ftruncate(file.fd, static_cast<off_t>(bytes)) != 0) return -errno;
  file.data = reserve_file(file.fd, bytes);
  if (file.data == nullptr) return -errno;
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | kernel::kSealFutureWrite | F_SEAL_SEAL;
  if (fcntl(file.fd, F_ADD_SEALS, kSeals) != 0) return -errno;
  return exclude_from_fork(file.data, bytes);
}

int make_named(const char* name, std::size_t bytes, SegmentFile& file) {
  file.fd = make_file(name);
  return file.fd < 0 ? -errno : fill(file, bytes);
}

int make_nameless(std::size_t bytes, SegmentFile& file) {
  file.data = reserve_shared(bytes);
  return file.data == nullptr ? -errno : exclude_from_fork(file.data, bytes);
}

/// Whoever closes all descriptors that he does not know of closes ours too, and the number may be another file's now.
bool is_still_open(const SegmentFile& file) {
  struct stat status {};
  return file.fd >= 0 && fstat(file.fd, &status) == 0 && status.st_dev == file.device && status.st_ino == file.inode;
}

}  // namespace

int make_segment_file(const char* name, std::size_t bytes, SegmentFile& made) {
  SegmentFile file;
  const int error = soft_limit(RLIMIT_FSIZE) < bytes ? make_nameless(bytes, file) : make_named(name, bytes, file);
  if (error != 0) {
    remove_segment_file(file, bytes);
    return error;
  }
  made = file;
  return 0;
}

void remove_segment_file(const SegmentFile& file, std::size_t bytes) {
  if (file.data != nullptr) munmap(file.data, bytes);
  const base::NoCancel no_cancel;
  if (is_still_open(file)) close(file.fd);
}

int populate_segment(const void* where, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(where);
  const std::uintptr_t start = address / base::kSmallPage * base::kSmallPage;
  const std::uintptr_t end = base::round_up(address + bytes, base::kSmallPage);
  auto* const first = reinterpret_cast<std::byte*>(start);  // NOLINT(performance-no-int-to-ptr)
  const int error = allow(first, end - start);
  if (error != 0) return error;
  const int populated = populate(first, end - start);
  if (populated != -EINVAL) return populated;  // Linux before 5.14
  const int read = populate_by_read(first, end - start);
  return read == -EPERM || read == -ENOSYS ? 0 : read;  // a sandbox forbids it: the first touch brings it in
}

}  // namespace weir::os
