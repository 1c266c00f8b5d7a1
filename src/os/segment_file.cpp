#include "os/segment_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "os/kernel_numbers.h"
#include "os/memory.h"

namespace weir::os {
namespace {

constexpr std::uintptr_t kPage = 4096;

int make_file(const char* name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = memfd_create(name, kFlags | kernel::kMfdNoexecSeal);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create(name, kFlags);
}

int fill(SegmentFile& file, std::size_t bytes) {
  if (ftruncate(file.fd, static_cast<off_t>(bytes)) != 0) return -errno;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) return -errno;
  file.data = static_cast<std::byte*>(data);
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | kernel::kSealFutureWrite | F_SEAL_SEAL;
  if (fcntl(file.fd, F_ADD_SEALS, kSeals) != 0) return -errno;
  return exclude_from_fork(file.data, bytes);
}

}  // namespace

int make_segment_file(const char* name, std::size_t bytes, SegmentFile& made) {
  SegmentFile file;
  file.fd = make_file(name);
  if (file.fd < 0) return -errno;
  const int error = fill(file, bytes);
  if (error != 0) {
    remove_segment_file(file, bytes);
    return error;
  }
  made = file;
  return 0;
}

void remove_segment_file(const SegmentFile& file, std::size_t bytes) {
  if (file.data != nullptr) munmap(file.data, bytes);
  close(file.fd);
}

int populate_segment(const SegmentFile& file, const void* where, std::size_t bytes) {
  const auto start = reinterpret_cast<std::uintptr_t>(where) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(where) + bytes + kPage - 1) / kPage * kPage;
  const auto offset = static_cast<off_t>(start - reinterpret_cast<std::uintptr_t>(file.data));
  while (fallocate(file.fd, 0, offset, static_cast<off_t>(end - start)) != 0) {
    if (errno != EINTR) return -errno;  // any signal ends it
  }
  const int error = populate(reinterpret_cast<std::byte*>(start), end - start);
  return error == -EINVAL ? 0 : error;  // before Linux 5.14 the first touch maps what fallocate has got
}

}  // namespace weir::os
