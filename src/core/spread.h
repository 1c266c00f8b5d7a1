#pragma once

#include <cstddef>
#include <vector>

namespace weir::detail {

/// How many bytes each node maps when a pool is to have `bytes` more: as even as the nodes' `rooms` allow, in granules,
/// and from 2 MiB up in huge pages where there is room for the rest of one. The sum is at most `total`. Empty when
/// there is no room for `bytes`. REQUIRES: rooms and total are multiples of kGranule.
std::vector<std::size_t> spread(std::size_t bytes, const std::vector<std::size_t>& rooms, std::size_t total);

}  // namespace weir::detail
