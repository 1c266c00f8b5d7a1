#include "save.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

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
void write_block(Replacement& file, std::span<const std::byte> block, std::size_t offset) {
  if (std::all_of(block.begin(), block.end(), [](std::byte each) { return each == std::byte{0}; })) return;
  file.write(block.data(), block.size(), offset);
}

/// A part of the reader's copy.
template <typename Part>
void write_part(Replacement& file, const Segment& segment, const Part& part) {
  const auto block = std::as_bytes(std::span(&part, 1));
  write_block(file, block, static_cast<std::size_t>(block.data() - reinterpret_cast<const std::byte*>(&segment)));
}

/// Addresses, which the copy has not.
void write_addresses(Replacement& file, const SegmentReader& reader, std::span<std::byte* const> part) {
  const auto* const start = reinterpret_cast<const std::byte*>(part.data());
  const std::vector<std::uint64_t> addresses = reader.addresses(part);
  write_block(file, std::as_bytes(std::span(addresses)),
              static_cast<std::size_t>(start - reinterpret_cast<const std::byte*>(&reader.segment())));
}

void write_magazines(Replacement& file, const SegmentReader& reader) {
  const Segment& segment = reader.segment();
  for (std::size_t i = 0; i < detail::kMaxThreads; ++i) {
    const detail::ThreadRecord& thread = segment.threads[i];
    if (thread.id == 0) continue;
    for (std::size_t lane = 0; lane < detail::kLanes; ++lane) {
      const bool in_use = (thread.lanes[lane / 64] >> lane % 64 & 1) != 0;
      if (!in_use) continue;
      write_part(file, segment, segment.magazines[i][lane]);
      write_addresses(file, reader, segment.magazines[i][lane].buffers);
    }
  }
}

void write_stacks_and_rings(Replacement& file, const SegmentReader& reader) {
  const Segment& segment = reader.segment();
  for (std::size_t lane = 0; lane < detail::kLanes; ++lane) {
    if (segment.lanes[lane].capacity != 0) write_addresses(file, reader, segment.recent[lane]);
  }
  for (std::size_t i = 0; i < detail::kMaxRings; ++i) {
    if (segment.rings[i].live != 0) write_addresses(file, reader, segment.ring_buffers[i]);
  }
}

/// They follow the segment, one after another.
void write_slab_files(Replacement& file, std::span<const SlabFile> slab_files) {
  std::size_t start = sizeof(Segment);
  for (const SlabFile& slabs : slab_files) {
    slabs.visit_data([&](std::size_t offset, std::span<const std::byte> data) {
      file.write(data.data(), data.size(), start + offset);
    });
    start += slabs.bytes();
    file.resize(start);
  }
}

}  // namespace

void save_segment(const SegmentReader& reader, std::span<const SlabFile> slab_files, const std::string& path) {
  constexpr std::size_t kPage = 4096;
  require_free_or_segment(path);
  const Segment& segment = reader.segment();
  Replacement file(path);
  file.resize(sizeof(Segment));
  static_assert(offsetof(Segment, magazines) % kPage == 0);
  for (std::size_t at = 0; at < offsetof(Segment, magazines); at += kPage) {
    write_block(file, {reinterpret_cast<const std::byte*>(&segment) + at, kPage}, at);
  }
  write_magazines(file, reader);
  write_stacks_and_rings(file, reader);
  write_slab_files(file, slab_files);
  file.finish();
}

}  // namespace weir::tool
