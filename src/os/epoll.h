#pragma once

#include <cstdint>

// Every function returns 0 or -errno.

namespace weir::os {

/// Has the epoll report, with `data`, that the file can be read, as long as it can.
int add_to_epoll(int epoll, int fd, std::uint64_t data) noexcept;
int remove_from_epoll(int epoll, int fd) noexcept;

}  // namespace weir::os
