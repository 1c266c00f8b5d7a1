#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "failure.h"
#include "layout.h"
#include "map_print.h"
#include "memory/slab_map.h"
#include "segment_reader.h"
#include "slab_file.h"
#include "snapshot.h"
#include "stat_print.h"
#include "stats/segment.h"

// The input is what is changed in a small segment of a process at rest, with its slab file behind it: pieces, each with
// where it goes. Whatever they are, the file is refused by one line, or all that is printed of it has sense.

using namespace weir::detail;

/// Who waits for counts to settle need not wait here: nothing moves.
extern "C" int nanosleep(const timespec* /*time*/, timespec* /*left*/) { return 0; }

namespace {

constexpr std::uint64_t kBase = 0x7f0000000000;
constexpr std::uint32_t kNodes = 2;
constexpr std::uint32_t kClasses = 2;
constexpr std::uint32_t kBytes = 16384;  // four buffers a slab
constexpr std::uint64_t kChunksOfNode = 16;
constexpr std::uint32_t kSlabsOfLane = 2;
constexpr SlabLayout kLayout{kNodes * kChunksOfNode};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "segment_fuzz: %s\n", what);
  std::abort();
}

template <std::size_t Size>
void name(std::array<char, Size>& field, std::string_view text) {
  text.copy(field.data(), field.size() - 1);
}

/// The file, of which a reader sees every change at once.
class Saved {
 public:
  Saved() : fd_(memfd_create("segment_fuzz", MFD_CLOEXEC)) {
    const std::size_t bytes = sizeof(Segment) + kLayout.file_bytes();
    check(fd_ >= 0 && ftruncate(fd_, static_cast<off_t>(bytes)) == 0, "no memfd");
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    check(data != MAP_FAILED, "no mapping");
    data_ = static_cast<std::byte*>(data);
    fill_header();
    for (std::uint32_t node = 0; node < kNodes; ++node) fill_node(node);
    fill_holders();
  }

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  Segment& segment() const { return *reinterpret_cast<Segment*>(data_); }
  SlabFileHeader& slab_header() const { return *reinterpret_cast<SlabFileHeader*>(data_ + sizeof(Segment)); }
  Slab* slabs() const { return reinterpret_cast<Slab*>(data_ + sizeof(Segment) + kLayout.slabs()); }

 private:
  static std::byte* buffer(std::uint64_t chunk, std::uint64_t index) {
    return reinterpret_cast<std::byte*>(kBase + chunk * kChunkBytes + index * kBytes);  // NOLINT: an address elsewhere
  }

  void fill_header() {
    SegmentHeader& header = segment().header;
    header.magic = kSegmentMagic;
    header.version = kSegmentVersion;
    header.process_id = 1;
    header.file_bytes = sizeof(Segment);
    header.node_count = kNodes;
    header.nodes = {0, 2};
    name(header.program, "fuzzed");
    slab_header() = {.magic = kSlabFileMagic,
                     .version = kSlabFileVersion,
                     .process_id = 1,
                     .file_bytes = kLayout.file_bytes(),
                     .base = kBase,
                     .chunks = kLayout.chunks};
    PoolRecord& pool = segment().pools[0];
    pool.live = 1;
    pool.class_count = kClasses;
    pool.base = kBase;
    name(pool.name, "pool");
  }

  /// Two slabs of each class, one of them whole; the rest is free.
  void fill_node(std::uint32_t node) {
    ArenaRecord& arena = segment().arenas[node];
    arena.live = 1;
    arena.node = segment().header.nodes[node];
    arena.base = kBase + node * kChunksOfNode * kChunkBytes;
    arena.bytes = kChunksOfNode * kChunkBytes;
    arena.page_bytes = 4096;
    name(arena.reason, "no huge pages");
    Slab* slab = slabs() + node * kChunksOfNode;
    for (std::uint32_t i = 0; i < kClasses; ++i) {
      LaneRecord& lane = segment().lanes[node * kLanesPerNode + i];
      lane.bytes = lane.stride = kBytes;
      lane.alignment = i == 0 ? 64 : 4096;
      lane.slab_bytes = kChunkBytes;
      lane.capacity = kSlabsOfLane * kChunkBytes / kBytes;
      lane.free = lane.capacity - 1;
      lane.lends = 1;
      for (std::uint32_t j = 0; j < kSlabsOfLane; ++j, ++slab) {
        slab->state = Slab::State::cut;
        slab->lane = static_cast<std::uint16_t>(node * kLanesPerNode + i);
        slab->free_count = j == 0 ? kChunkBytes / kBytes : kChunkBytes / kBytes - 2;
      }
    }
    for (unsigned order : {2U, 3U}) {
      slab->state = Slab::State::free_block;
      slab->order = static_cast<std::uint8_t>(order);
      slab += 1U << order;
    }
  }

  /// Of the first lane, a buffer is cached and one in a ring; of each other one is lent. All have one on the stack.
  void fill_holders() {
    Segment& all = segment();
    for (std::uint32_t node = 0; node < kNodes; ++node) {
      for (std::uint32_t i = 0; i < kClasses; ++i)
        all.recent[node * kLanesPerNode + i][0] = buffer(node * kChunksOfNode + i * kSlabsOfLane + 1, 0);
    }
    all.lanes[0].free = all.lanes[0].capacity - 3;
    all.lanes[0].lends = 2;  // the ring's was lent before
    slabs()[0].free_count = kChunkBytes / kBytes - 2;
    all.threads[0].id = 7;
    all.threads[0].lanes[0] = 1;
    Magazine& magazine = all.magazines[0][0];
    magazine.state = 1;
    magazine.from_depot = 1;
    magazine.bytes = kBytes;
    magazine.buffers[0] = buffer(0, 0);
    RingRecord& ring = all.rings[0];
    ring.live = 1;
    ring.entries = 8;
    ring.group = 64;
    ring.filled = ring.provided = 1;
    all.ring_buffers[0][3] = buffer(0, 1);
    ReceiverRecord& receiver = all.receivers[0];
    receiver.live = 1;
    receiver.thread = 7;
    receiver.connections = 1;
  }

  int fd_;
  std::byte* data_ = nullptr;
};

const Saved& saved() {
  static const Saved instance;
  return instance;
}

/// Bytes of the file that mean something.
using Part = std::span<std::byte>;

template <typename Record>
Part part(Record& first, std::size_t count = 1) {
  return {reinterpret_cast<std::byte*>(&first), count * sizeof first};
}

const std::vector<Part>& parts() {
  static const std::vector<Part> all = [] {
    Segment& segment = saved().segment();
    return std::vector<Part>{part(segment.header),
                             part(segment.pools[0], 3),
                             part(segment.arenas[0], 3),
                             part(segment.lanes[0], 3),
                             part(segment.lanes[kLanesPerNode], 3),
                             part(segment.rings[0], 3),
                             part(segment.receivers[0], 3),
                             part(segment.threads[0], 3),
                             part(segment.magazines[0][0], 2),
                             part(segment.recent[0][0], 8),
                             part(segment.ring_buffers[0][0], 8),
                             part(saved().slab_header()),
                             part(saved().slabs()[0], kLayout.chunks)};
  }();
  return all;
}

/// Overwrites parts of the file, for as long as it lives.
class Changes {
 public:
  Changes() = default;
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;
  ~Changes() {
    for (auto change = before_.rbegin(); change != before_.rend(); ++change)
      std::copy(change->bytes.begin(), change->bytes.end(), change->where);
  }

  void add(Part where, const std::vector<std::uint8_t>& bytes) {
    before_.push_back({where.data(), {where.begin(), where.begin() + static_cast<std::ptrdiff_t>(bytes.size())}});
    std::transform(bytes.begin(), bytes.end(), where.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
  }

 private:
  struct Before {
    std::byte* where;
    std::vector<std::byte> bytes;
  };
  std::vector<Before> before_;
};

void change(FuzzedDataProvider& input, Changes& changes) {
  const Part where = parts()[input.ConsumeIntegralInRange<std::size_t>(0, parts().size() - 1)];
  const auto from = input.ConsumeIntegralInRange<std::size_t>(0, where.size() - 1);
  const auto most = std::min<std::size_t>(where.size() - from, 64);
  changes.add(where.subspan(from),
              input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(1, most)));
}

void check_text(const std::string& text) {
  const auto fits = [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); };
  check(std::all_of(text.begin(), text.end(), fits), "what is printed would command the terminal");
}

void check_json(const std::string& text) {
  check_text(text);
  check(nlohmann::json::accept(text), "not JSON");
}

void check_layout(const weir::tool::Layout& layout) {
  for (const auto& pool : layout.pools) {
    std::uint64_t at = 0;
    for (const auto& arena : pool.arenas) {
      check(arena.address >= at, "arenas overlap");
      at = arena.address;
      for (const auto& cell : arena.cells) {
        check(cell.address == at && cell.bytes > 0, "cells do not follow one another");
        check(cell.kind != weir::tool::Cell::Kind::slab || cell.shares.sum() <= cell.bytes, "more buffers than bytes");
        at += cell.bytes;
      }
      check(at == arena.address + arena.bytes, "the cells do not fill the arena");
    }
  }
}

/// Where nothing was changed, both ways to count give the same.
void check_unchanged(const weir::tool::Snapshot& snapshot, const weir::tool::Layout& layout) {
  const weir::tool::Tally tally = snapshot.tally();
  weir::tool::Shares sum;
  for (const auto& size_class : layout.pools.at(0).classes) sum += size_class.shares;
  check(tally.settled && tally.counts.cached == 1 && tally.counts.kernel_ring == 1, "the law does not hold");
  check(sum.free == tally.counts.free && sum.cached == 1 && sum.ring == 1 && sum.lent == tally.counts.user,
        "the map counts otherwise");
}

void read_all(bool unchanged) {
  using namespace weir::tool;
  SegmentReader reader(File(saved().path()), "the input");
  const Snapshot snapshot = take_snapshot(reader);
  check_text(stat_text(snapshot));
  check_json(stat_json(snapshot));
  std::vector<SlabFile> files;
  if (auto file = SlabFile::find(std::make_shared<File>(saved().path()), sizeof(Segment)))
    files.push_back(std::move(*file));
  const Layout layout = take_layout(reader, files);
  check_layout(layout);
  if (unchanged) check_unchanged(snapshot, layout);
  check_text(map_text(layout, 80));
  check_json(map_json(layout));
  check_text(map_svg(layout));
  check_text(map_html(layout));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  Changes changes;
  while (input.remaining_bytes() > 0) change(input, changes);
  try {
    read_all(size == 0);
  } catch (const weir::tool::Failure& failure) {
    check_text(failure.what());
    check(std::string_view(failure.what()).find('\n') == std::string_view::npos, "refused by more than a line");
  }
  return 0;
}
