#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::os {

/// A sealed memfd mapped once for writing: nobody can resize it, nor map or write it again, by seals. Its descriptor
/// is there for others to find it by, and nothing else: the program may close it, and use the number for a file of its
/// own. Where the limit on the size of files is too low for it, there is shared memory without a descriptor.
struct SegmentFile {
  int fd = -1;
  std::uint64_t device = 0;  ///< as the next, what tells the file from another of that number
  std::uint64_t inode = 0;
  std::byte* data = nullptr;
};

// The names under which /proc/PID/fd shows such files: "/memfd:weir-segment (deleted)".
inline constexpr char kSegmentFileName[] = "weir-segment";
inline constexpr char kSlabFileName[] = "weir-slabs";
// The name of what has no descriptor, in /proc/PID/map_files alone.
inline constexpr char kSharedMemoryName[] = "/dev/zero (deleted)";

/// Makes the file, sparse, of `bytes`, none of which may be touched before it is populated. Returns 0 or -errno, then
/// with nothing left behind. A child of fork does not get the mapping.
int make_segment_file(const char* name, std::size_t bytes, SegmentFile& made);

/// Takes the file away again, and its mapping of `bytes`.
void remove_segment_file(const SegmentFile& file, std::size_t bytes);

/// Gives memory to a part of such a file's mapping, so that touching it cannot fail later. What is in it stays. Returns
/// 0 or -errno.
int populate_segment(const void* where, std::size_t bytes);

}  // namespace weir::os
