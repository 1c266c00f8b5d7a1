#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "segment_reader.h"
#include "target.h"

namespace weir::tool {

/// Loans that were made for the same and from the same place in the program.
struct BorrowGroup {
  std::string pool;
  std::string tag;                   ///< empty: the borrower has not named itself
  std::vector<std::uint64_t> stack;  ///< the addresses that calls return to, the innermost first
  std::uint64_t loans = 0;
  std::uint64_t bytes = 0;
  std::uint32_t thread = 0;            ///< that lent the oldest
  std::chrono::nanoseconds oldest{0};  ///< its age
};

struct Borrows {
  bool clock_unknown = false;                      ///< ages are counted back from the newest loan
  bool traced = false;                             ///< a pool notes its borrowers
  std::uint64_t loans = 0;                         ///< listed
  std::uint64_t unlisted = 0;                      ///< there was no room to list them
  std::optional<std::chrono::nanoseconds> oldest;  ///< age of the oldest listed
  std::vector<BorrowGroup> groups;                 ///< the oldest first
};

/// The loans that the pools which trace have out for `older` or longer. One that came or went while it was read is left
/// out. In a file, which may be old, ages are counted back from its newest loan; and so they are where the process's
/// clock cannot be compared with this one's.
Borrows read_borrows(const OpenTarget& target, std::chrono::nanoseconds older);

}  // namespace weir::tool
