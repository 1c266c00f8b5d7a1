#include "save.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "failure.h"

namespace weir::tool {
namespace {

using detail::Segment;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Failure(fmt::format("cannot save to {}: {}", path, why));
}

void require_free_or_segment(const std::string& path) {
  const File there(path);
  if (!there && errno == ENOENT) return;
  if (!there) refuse(path, std::strerror(errno));
  if (!owner_of_segment(there)) refuse(path, "it is there, and no segment: give another name, or remove it");
}

/// A file beside the one that it replaces in the end.
class Replacement {
 public:
  explicit Replacement(const std::string& path) : path_(path), own_path_(path + ".XXXXXX") {
    fd_ = mkostemp(own_path_.data(), O_CLOEXEC);
    if (fd_ < 0) refuse(path_, std::strerror(errno));
  }
  ~Replacement() {
    close(fd_);
    if (!done_) unlink(own_path_.c_str());
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  /// All of it is a hole until it is written.
  void resize(std::size_t bytes) { require(ftruncate(fd_, static_cast<off_t>(bytes)) == 0); }
  void write(const std::byte* data, std::size_t bytes, std::size_t offset) {
    while (bytes > 0) {
      const ssize_t done = pwrite(fd_, data, bytes, static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      require(done > 0);
      data += done;
      offset += static_cast<std::size_t>(done);
      bytes -= static_cast<std::size_t>(done);
    }
  }
  void finish() {
    require(rename(own_path_.c_str(), path_.c_str()) == 0);
    done_ = true;
  }

 private:
  void require(bool works) const {
    if (!works) refuse(path_, std::strerror(errno));
  }

  const std::string path_;
  std::string own_path_;
  int fd_ = -1;
  bool done_ = false;
};

/// A block that is all zeros stays a hole.
void write_block(Replacement& file, const Segment& segment, const void* where, std::size_t bytes) {
  const auto* const data = static_cast<const std::byte*>(where);
  if (std::all_of(data, data + bytes, [](std::byte each) { return each == std::byte{0}; })) return;
  file.write(data, bytes, static_cast<std::size_t>(data - reinterpret_cast<const std::byte*>(&segment)));
}

void write_magazines(Replacement& file, const Segment& segment) {
  for (std::size_t i = 0; i < detail::kMaxThreads; ++i) {
    const detail::ThreadRecord& thread = segment.threads[i];
    if (thread.id == 0) continue;
    for (std::size_t lane = 0; lane < detail::kLanes; ++lane) {
      const bool in_use = (thread.lanes[lane / 64] >> lane % 64 & 1) != 0;
      if (in_use) write_block(file, segment, &segment.magazines[i][lane], sizeof(detail::Magazine));
    }
  }
}

}  // namespace

void save_segment(const SegmentReader& reader, const std::string& path) {
  constexpr std::size_t kPage = 4096;
  require_free_or_segment(path);
  const Segment& segment = reader.segment();
  Replacement file(path);
  file.resize(sizeof(Segment));
  static_assert(offsetof(Segment, magazines) % kPage == 0);
  for (std::size_t at = 0; at < offsetof(Segment, magazines); at += kPage) {
    write_block(file, segment, reinterpret_cast<const std::byte*>(&segment) + at, kPage);
  }
  write_magazines(file, segment);
  file.finish();
}

}  // namespace weir::tool
