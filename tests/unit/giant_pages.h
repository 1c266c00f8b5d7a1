#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace weir::testing {

/// The node's free huge pages of 1 GiB.
inline std::size_t free_giant_pages(int node) {
  std::size_t pages = 0;
  std::ifstream("/sys/devices/system/node/node" + std::to_string(node) +
                "/hugepages/hugepages-1048576kB/free_hugepages") >>
      pages;
  return pages;
}

/// Why there are none.
inline std::string why_no_giant_page(int node) {
  if (!std::ifstream("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"))
    return "this processor (its flag pdpe1gb) or kernel has no pages of 1 GiB";
  return "node " + std::to_string(node) + " has no free page of 1 GiB: run it in a guest with --giantpages 1";
}

}  // namespace weir::testing
