#include "sim/files.h"

#include <algorithm>
#include <utility>

#include "sim/report.h"
#include "sim/stream.h"

namespace weir::sim {

int File::receive(std::span<std::byte> room) {
  if (!has_data()) {
    if (broken && !std::exchange(told_broken, true)) return -ECONNRESET;
    return finished || broken ? 0 : -EAGAIN;
  }
  const std::size_t bytes = std::min<std::uint64_t>(room.size(), arrived - taken);
  write_stream(room.first(bytes), id, taken);
  taken += bytes;
  return static_cast<int>(bytes);
}

int FileTable::open(std::shared_ptr<File> file) {
  const auto free = std::find(files_.begin(), files_.end(), nullptr);
  if (free != files_.end()) {
    *free = std::move(file);
    return static_cast<int>(free - files_.begin());
  }
  files_.push_back(std::move(file));
  return static_cast<int>(files_.size()) - 1;
}

std::shared_ptr<File> FileTable::at(int fd) const {
  const auto index = static_cast<std::size_t>(fd);
  return fd >= 0 && index < files_.size() ? files_[index] : nullptr;
}

void FileTable::close(int fd) {
  if (at(fd) == nullptr) violate("descriptor %d is closed, which is not open", fd);
  files_[static_cast<std::size_t>(fd)] = nullptr;
}

}  // namespace weir::sim
