#pragma once

#include <string>

#include "segment_reader.h"

namespace weir::tool {

/// Writes what the reader has read to a sparse file that --segment reads, for its owner alone. A file that is there
/// is overwritten when it is a segment. Throws Failure, and then the file is as before.
void save_segment(const SegmentReader& reader, const std::string& path);

}  // namespace weir::tool
