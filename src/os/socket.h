#pragma once

#include <cstddef>
#include <span>

namespace weir::os {

/// Receives what is there, without waiting. Returns how many bytes; 0 at the stream's end; -EAGAIN when there is
/// nothing, or another -errno.
int receive(int fd, std::span<std::byte> buffer) noexcept;

/// What receive() would find: more than 0, 0 or -errno.
int peek(int fd) noexcept;

/// True when there is data, the stream's end or an error, which stays to be told of, as peek() would not leave it.
bool is_readable(int fd) noexcept;

bool is_datagram(int fd) noexcept;

}  // namespace weir::os
