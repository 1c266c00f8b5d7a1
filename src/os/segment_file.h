#pragma once

#include <cstddef>

namespace weir::os {

/// A sealed memfd mapped once for writing: nobody can resize it, nor map or write it again, by seals.
struct SegmentFile {
  int fd = -1;
  std::byte* data = nullptr;
};

// The names under which /proc/PID/fd shows such files: "/memfd:weir-segment (deleted)".
inline constexpr char kSegmentFileName[] = "weir-segment";
inline constexpr char kSlabFileName[] = "weir-slabs";

/// Makes the file, sparse, of `bytes`. Returns 0 or -errno, then with nothing left behind. A child of fork does not
/// get the mapping.
int make_segment_file(const char* name, std::size_t bytes, SegmentFile& made);

/// Takes the file away again, and its mapping of `bytes`.
void remove_segment_file(const SegmentFile& file, std::size_t bytes);

/// Gives memory to a part of the file and maps it, so that touching it cannot fail later. Returns 0 or -errno.
int populate_segment(const SegmentFile& file, const void* where, std::size_t bytes);

}  // namespace weir::os
