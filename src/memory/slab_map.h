#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/size_classes.h"
#include "os/segment_file.h"

namespace weir::detail {

inline constexpr std::size_t kChunkBytes = kLeastSlab;
inline constexpr std::uint32_t kNoChunk = UINT32_MAX;

/// What is known of the chunk of 64 KiB at which a slab, or a free block of memory, starts.
struct Slab {
  enum class State : std::uint8_t { none, free_block, cut, pages };
  std::atomic<State> state;  ///< the blocks also asks it of a neighbour that is a depot's: is that free?
  std::uint8_t order;        ///< its size is kChunkBytes << order
  std::uint16_t lane;        ///< index, where it is cut
  std::uint32_t free_count;  ///< buffers in the depot; of a free block, 1 when untouched() has seen it
  std::uint32_t next;        ///< in a list of its depot or node
  std::uint32_t previous;
  std::atomic<std::uint32_t> slices;  ///< of the buffer that starts here: see Slices
};

inline constexpr std::array<char, 8> kSlabFileMagic{'w', 'e', 'i', 'r', 's', 'l', 'a', 'b'};
inline constexpr std::uint32_t kSlabFileVersion = 1;

/// Starts a pool's slab file: bits and records of its chunks follow, see SlabLayout.
struct SlabFileHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t process_id;
  std::uint64_t file_bytes;
  std::uint64_t base;  ///< address of chunk 0, which the pool's record has too
  std::uint64_t chunks;
};

/// Where in a slab file of so many chunks what is.
struct SlabLayout {
  static constexpr std::size_t kBitBytes = kChunkBytes / 64 / 8;
  static constexpr std::size_t kBits = base::kSmallPage;
  std::size_t chunks;

  std::size_t slabs() const { return kBits + chunks * kBitBytes; }
  std::size_t file_bytes() const { return base::round_up(slabs() + chunks * sizeof(Slab), base::kSmallPage); }
};

/// The out-of-band metadata of a pool's memory: a record for each chunk, and a bit for each buffer that there can be,
/// set while the buffer is in its slab. A record belongs to one lock at a time: that of its node's blocks, or its
/// depot's. It lies in a file of its own, which the `weir` tool reads as it does the segment.
class SlabMap {
 public:
  /// Reserves room for all; but for the header, none has memory yet. Throws Error.
  SlabMap(std::byte* base, std::size_t bytes);
  ~SlabMap();
  SlabMap(const SlabMap&) = delete;
  SlabMap& operator=(const SlabMap&) = delete;

  /// Gives memory to the records of a range, so that nothing can fail later. Returns 0 or -errno.
  /// REQUIRES: the range is of whole chunks.
  int populate(const std::byte* from, std::size_t bytes);

  Slab& operator[](std::uint32_t chunk) { return slabs_[chunk]; }
  const Slab& operator[](std::uint32_t chunk) const { return slabs_[chunk]; }
  /// The bits of a slab that starts at the chunk, 1,024 for each chunk that it has.
  std::uint64_t* bits(std::uint32_t chunk) { return bits_ + std::size_t{chunk} * kWordsPerChunk; }

  std::byte* address(std::uint32_t chunk) const { return base_ + std::size_t{chunk} * kChunkBytes; }
  std::uint32_t chunk_of(const std::byte* address) const {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(address - base_) / kChunkBytes);
  }
  /// The chunk at which the slab of the address starts. REQUIRES: the address is in a slab.
  std::uint32_t start_of(const std::byte* address) const {
    const std::uint32_t chunk = chunk_of(address);
    return chunk & ~((1U << slabs_[chunk].order) - 1);
  }
  /// True of memory whose records are there: nothing else may be asked of any other.
  bool contains(const std::byte* address) const;
  std::uint32_t chunks() const { return static_cast<std::uint32_t>(bytes_ / kChunkBytes); }

 private:
  static constexpr std::size_t kWordsPerChunk = kChunkBytes / 64 / 64;
  static constexpr std::size_t kChunksPerBlock = kMostSlab / kChunkBytes;

  std::byte* base_;
  std::size_t bytes_;
  SlabLayout layout_;
  os::SegmentFile file_;
  std::vector<std::atomic<bool>> known_;  ///< blocks of the largest slab's size whose records have memory
  std::uint64_t* bits_;
  Slab* slabs_;
};

/// A list of slabs, linked by their records. Not thread safe.
class SlabList {
 public:
  explicit SlabList(SlabMap& map) : map_(&map) {}
  bool empty() const { return first_ == kNoChunk; }
  std::uint32_t front() const { return first_; }
  void push(std::uint32_t chunk);
  void remove(std::uint32_t chunk);

 private:
  SlabMap* map_;
  std::uint32_t first_ = kNoChunk;
};

}  // namespace weir::detail
