#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace weir::tool {

/// A file open for reading, or none.
class File {
 public:
  File() = default;
  /// None, with errno set, when it cannot be opened. Never waits, not for a pipe's other end either.
  explicit File(const std::string& path);
  /// Takes the descriptor over; none when it is -1.
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();

  explicit operator bool() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  /// Somebody else closes it; -1 when there is none.
  int release() noexcept { return std::exchange(fd_, -1); }
  bool is_regular() const;
  /// In some folder: memory that is shared by its descriptor has none.
  bool has_name() const;
  /// The same for all ways to one file.
  using Identity = std::pair<std::uint64_t, std::uint64_t>;
  Identity identity() const;
  std::size_t size() const;
  /// From where to where it has data, no hole, at `offset` or after it; empty when there is none.
  std::optional<std::pair<std::size_t, std::size_t>> data_from(std::size_t offset) const;
  /// False when the file has not all of these bytes, or they cannot be read.
  bool read(void* into, std::size_t bytes, std::size_t offset) const;

 private:
  int fd_ = -1;
};

}  // namespace weir::tool
