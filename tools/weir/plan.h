#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "machine.h"

namespace weir::tool {

/// What a server is to bear.
struct Load {
  std::uint64_t connections = 1000;
  std::uint64_t message_bytes = 16384;
};

/// What that takes on a machine, and the numbers behind it. It assumes a receiver for each CPU, of the strategy `auto`,
/// data on a quarter of the connections at once, and that each connection may have a message in the server's hands.
struct Plan {
  unsigned receivers = 0;
  std::uint32_t buffer_bytes = 0;  ///< of a receiver's buffers
  std::uint64_t buffers_a_message = 0;
  std::uint32_t ring_entries = 0;        ///< most buffers of a ring; 0: without buffer rings
  std::uint32_t ring_buffers = 0;        ///< of each receiver's ring at most; 0: such messages come by polls
  std::uint64_t ring_bytes = 0;          ///< that the rings take at most, of all receivers
  std::uint64_t message_bytes = 0;       ///< that the messages take
  std::uint64_t spare_bytes = 0;         ///< for what waits in threads' magazines
  std::uint64_t node_bytes = 0;          ///< of each node, in whole huge pages
  bool may_have_huge_pages = false;      ///< control groups allow as many as are needed
  std::uint64_t small_bytes = 0;         ///< of the pool, on nodes that have not enough huge pages
  std::uint64_t bytes = 0;               ///< of the pool
  std::uint64_t memlock_bytes = 0;       ///< that count against the limit, as the pages are now
  std::uint64_t ring_memlock_bytes = 0;  ///< of the io_urings and their buffer rings alone
  std::uint64_t files = 0;
  std::uint64_t threads = 0;
  std::vector<std::pair<std::string, std::string>> variables;

  std::uint64_t huge_pages_a_node() const;
  /// Of 2 MiB, for its whole part of the pool.
  bool has_huge_pages(const NodeFacts& node) const;
};

Plan make_plan(const Load& load, const Machine& machine);

}  // namespace weir::tool
