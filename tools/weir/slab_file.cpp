#include "slab_file.h"

#include <algorithm>

#include "os/segment_file.h"
#include "process.h"
#include "segment_search.h"
#include "stats/segment.h"

namespace weir::tool {
namespace {

using namespace detail;  // the segment's words

constexpr std::size_t kMostPiece = 1 << 20;

bool is_whole(const SlabFileHeader& header, std::size_t room) {
  return header.magic == kSlabFileMagic && header.version == kSlabFileVersion && header.chunks < kNoChunk &&
         header.file_bytes == SlabLayout{header.chunks}.file_bytes() && header.file_bytes <= room;
}

std::vector<SlabFile> slab_files_of(const Process& process) {
  std::vector<SlabFile> files;
  std::error_code error;
  for (File& file : open_memory_files(process, os::kSlabFileName, error)) {
    auto found = SlabFile::find(std::make_shared<File>(std::move(file)), 0);
    if (found && found->process_id() == process.own_id) files.push_back(std::move(*found));
  }
  return files;
}

std::vector<SlabFile> slab_files_behind_segment(const std::string& path) {
  const auto file = std::make_shared<File>(path);
  std::vector<SlabFile> files;
  std::size_t offset = sizeof(Segment);
  while (files.size() < kMaxPools) {
    auto found = SlabFile::find(file, offset);
    if (!found) break;
    offset += found->bytes();
    files.push_back(std::move(*found));
  }
  return files;
}

}  // namespace

std::optional<SlabFile> SlabFile::find(std::shared_ptr<const File> file, std::size_t offset) {
  SlabFile found(std::move(file), offset);
  const std::size_t size = found.file_->size();
  const bool read = size > offset && found.file_->read(&found.header_, sizeof found.header_, offset);
  if (!read || !is_whole(found.header_, size - offset)) return std::nullopt;
  return found;
}

std::vector<Slab> SlabFile::read(std::uint64_t first, std::uint64_t count) const {
  std::vector<Slab> slabs(count);
  const std::size_t place = offset_ + SlabLayout{header_.chunks}.slabs() + first * sizeof(Slab);
  if (!file_->read(slabs.data(), count * sizeof(Slab), place)) return {};
  return slabs;
}

void SlabFile::visit_data(const std::function<void(std::size_t, std::span<const std::byte>)>& visit) const {
  std::vector<std::byte> piece;
  const std::size_t end = offset_ + bytes();
  for (std::size_t at = offset_; at < end; at += piece.size()) {
    const auto data = file_->data_from(at);
    if (!data || data->first >= end) return;
    at = std::max(at, data->first);
    piece.resize(std::min({kMostPiece, data->second - at, end - at}));
    if (!file_->read(piece.data(), piece.size(), at)) return;
    visit(at - offset_, piece);
  }
}

std::vector<SlabFile> find_slab_files(const Target& target, const OpenTarget& open) {
  return open.process ? slab_files_of(*open.process) : slab_files_behind_segment(target.segment_path);
}

}  // namespace weir::tool
