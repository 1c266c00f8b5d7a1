#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace weir::os {

/// A limit of a control group on memory, or on threads.
struct GroupLimit {
  std::string file;
  std::uint64_t bytes = 0;
  std::uint64_t used = 0;  ///< without what the kernel takes back for others: clean copies of files
  std::uint64_t left() const { return bytes > used ? bytes - used : 0; }
};

/// Of the limits on hugetlb pages of this size in the process's control group and those above it that are visible
/// (version 1 and 2), the one that leaves the least; nothing when there is none, or none that can be read.
std::optional<GroupLimit> hugetlb_limit(std::size_t page_bytes);

/// The same of the limits on all other memory.
std::optional<GroupLimit> memory_limit();

/// The same of the limits on threads, which are no bytes.
std::optional<GroupLimit> task_limit();

}  // namespace weir::os
