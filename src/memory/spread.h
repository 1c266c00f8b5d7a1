#pragma once

#include <cstddef>
#include <vector>

namespace weir::detail {

/// How many bytes each node maps when a pool is to have `bytes` more: as even as the nodes' `rooms` allow, in chunks,
/// and from 2 MiB up in huge pages where there is room for the rest of one. The sum is at most `total`. Empty when
/// there is no room for `bytes`. A node with room for it maps `least`, as long as the total allows.
/// REQUIRES: rooms, total and least are multiples of kChunkBytes.
std::vector<std::size_t> spread(std::size_t bytes, const std::vector<std::size_t>& rooms, std::size_t total,
                                std::size_t least = 0);

}  // namespace weir::detail
