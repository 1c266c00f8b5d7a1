#pragma once

#include <span>
#include <string>

#include "segment_reader.h"
#include "slab_file.h"

namespace weir::tool {

/// Writes what the reader has read to a sparse file that --segment reads, for its owner alone, with the addresses of
/// buffers and the slab files as they are now, for `weir map`. A file that is there is overwritten when it is a
/// segment. Throws Failure, and then the file is as before.
void save_segment(const SegmentReader& reader, std::span<const SlabFile> slab_files, const std::string& path);

}  // namespace weir::tool
