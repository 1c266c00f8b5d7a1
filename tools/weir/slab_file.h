#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "file.h"
#include "memory/slab_map.h"
#include "target.h"

namespace weir::tool {

/// A pool's slab file, or a copy of one inside another file. Nothing in it is trusted.
class SlabFile {
 public:
  /// Empty when no whole slab file of this version starts there.
  static std::optional<SlabFile> find(std::shared_ptr<const File> file, std::size_t offset);

  std::uint32_t process_id() const { return header_.process_id; }
  std::uint64_t base() const { return header_.base; }
  std::uint64_t chunks() const { return header_.chunks; }
  std::uint64_t bytes() const { return header_.file_bytes; }

  /// The records of so many chunks as they are now; none when the file has become shorter.
  /// REQUIRES: the chunks are in the file.
  std::vector<detail::Slab> read(std::uint64_t first, std::uint64_t count) const;
  /// Calls `visit(offset, bytes)` for what is no hole, piece by piece.
  void visit_data(const std::function<void(std::size_t, std::span<const std::byte>)>& visit) const;

 private:
  SlabFile(std::shared_ptr<const File> file, std::size_t offset) : file_(std::move(file)), offset_(offset) {}

  std::shared_ptr<const File> file_;
  std::size_t offset_;
  detail::SlabFileHeader header_{};
};

/// Those of the target's pools: the process's, or the copies that follow the segment in its file.
std::vector<SlabFile> find_slab_files(const Target& target, const OpenTarget& open);

}  // namespace weir::tool
