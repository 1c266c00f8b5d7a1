#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace weir::sim {

/// Memory that somebody has.
struct Range {
  const std::byte* data = nullptr;
  std::size_t bytes = 0;

  bool has(const std::byte* place) const { return place >= data && place < data + bytes; }
};

/// What a descriptor leads to: the near end of a connection, or an event.
struct File {
  std::uint64_t id = 0;       ///< of the stream; 0: an event
  std::uint64_t arrived = 0;  ///< bytes that the far end has sent
  std::uint64_t taken = 0;    ///< bytes that were received
  bool finished = false;      ///< the far end sends no more
  bool broken = false;        ///< the far end was reset: an error is due after the data
  bool told_broken = false;
  unsigned starved = 0;                           ///< receives that found no buffer since one did
  std::uint64_t buffers = 0;                      ///< that were filled with its data
  std::deque<Range> handed{};                     ///< what the receiver has of it, and the user not yet
  std::uint64_t signals = 0;                      ///< of an event
  std::chrono::steady_clock::time_point heard{};  ///< when the receiver learned of data last
  std::chrono::steady_clock::time_point since{};  ///< when it could be read again, after it could not

  bool has_data() const { return arrived > taken; }
  bool readable() const { return has_data() || finished || broken || signals > 0; }
  int events() const { return POLLIN | (finished || broken ? POLLRDHUP : 0) | (broken ? POLLERR | POLLHUP : 0); }

  /// Before something comes: what is there from now on came at this time at the earliest.
  void note_coming(std::chrono::steady_clock::time_point now) {
    if (!readable()) since = now;
  }
  void note_buffers(unsigned count) {
    buffers += count;
    starved = 0;
  }
  /// The next bytes, as many as there is room for; 0 at the end, or -errno. An error is told once.
  int receive(std::span<std::byte> room);
};

/// Descriptors, of which the lowest free one is given out, as the kernel does.
class FileTable {
 public:
  int open(std::shared_ptr<File> file);
  /// nullptr when there is no such descriptor.
  std::shared_ptr<File> at(int fd) const;
  void close(int fd);

 private:
  std::vector<std::shared_ptr<File>> files_;
};

}  // namespace weir::sim
