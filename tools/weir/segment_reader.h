#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "file.h"
#include "stats/segment.h"

namespace weir::tool {

/// The process that a segment says it is of; empty when the file is no segment.
std::optional<std::uint32_t> owner_of_segment(const File& file);

/// A copy of a segment, at the same offsets as the original, of which only what is in use is read. The
/// original is never mapped, so that neither side can fault the other, and nothing in the copy is trusted.
class SegmentReader {
 public:
  /// Throws Failure when the file, called `name`, is no whole segment of this version.
  SegmentReader(File file, std::string name);
  ~SegmentReader();
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  /// Reads everything but the borrows and the magazines anew.
  void read_records();
  /// Reads anew what the lane's counts are made of, as much at once as can be. Those of other lanes stay as they were
  /// read, so that the copy agrees with what was told of each.
  void read_lane(std::uint32_t lane_index);
  /// Reads anew the borrows that have been in use, and returns them.
  std::span<const detail::BorrowRecord> read_borrows();

  /// Addresses of buffers as they are now in a part of the segment(), which is not read otherwise.
  std::vector<std::uint64_t> addresses(std::span<std::byte* const> part) const;

  const detail::Segment& segment() const { return copy_; }

 private:
  void read(void* where, std::size_t bytes);
  void read_into(void* to, const void* place, std::size_t bytes) const;

  File file_;
  std::string name_;
  detail::Segment& copy_;
};

}  // namespace weir::tool
