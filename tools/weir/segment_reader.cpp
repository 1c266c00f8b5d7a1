#include "segment_reader.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/units.h"
#include "failure.h"

namespace weir::tool {
namespace {

using base::format_size;
using detail::Segment;
using detail::SegmentHeader;

/// What begins the segments of all versions.
constexpr std::size_t kHeaderStart = offsetof(SegmentHeader, tables);

/// What the counts need of a magazine: all but the buffers' addresses.
constexpr std::size_t kMagazineNumbers = offsetof(detail::Magazine, buffers);

std::optional<SegmentHeader> read_header(const File& file) {
  SegmentHeader header{};
  if (!file.is_regular() || !file.read(&header, kHeaderStart, 0) || header.magic != detail::kSegmentMagic) return {};
  return header;
}

void require_whole_segment(const File& file, const std::string& name) {
  const auto header = read_header(file);
  if (!header) {
    throw Failure(fmt::format("{} is not a segment of weir: give /proc/PID/fd/N of a server, or a copy of that", name));
  }
  if (header->version != detail::kSegmentVersion) {
    throw Failure(
        fmt::format("{} is a segment of version {}, and this tool reads version {}: use the `weir` of the "
                    "release that the server was built with",
                    name, header->version, detail::kSegmentVersion));
  }
  if (header->file_bytes != sizeof(Segment)) {
    throw Failure(fmt::format("{} is damaged: it says that it is of {}, and all of its version are of {}", name,
                              format_size(header->file_bytes), format_size(sizeof(Segment))));
  }
  if (file.size() < sizeof(Segment)) {
    throw Failure(fmt::format("{} is cut short: it has {} of {}; copy it again, whole", name, format_size(file.size()),
                              format_size(sizeof(Segment))));
  }
}

/// Address space that takes memory only where it is written.
Segment& make_copy_area() {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* area = mmap(nullptr, sizeof(Segment), PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (area == MAP_FAILED) {
    throw Failure(
        fmt::format("no {} of address space for a copy of the segment: raise the limit with "
                    "`ulimit -v unlimited`",
                    format_size(sizeof(Segment))));
  }
  return *static_cast<Segment*>(area);
}

}  // namespace

std::optional<std::uint32_t> owner_of_segment(const File& file) {
  const auto header = read_header(file);
  if (!header) return std::nullopt;
  return header->process_id;
}

SegmentReader::SegmentReader(File file, std::string name)
    : file_(std::move(file)), name_(std::move(name)), copy_((require_whole_segment(file_, name_), make_copy_area())) {}

SegmentReader::~SegmentReader() { munmap(&copy_, sizeof(Segment)); }

void SegmentReader::read_records() { read(&copy_, offsetof(Segment, borrows)); }

void SegmentReader::read_lane(std::uint32_t lane_index) {
  read(&copy_.threads, sizeof copy_.threads);
  std::array<detail::RingRecord, detail::kMaxRings> rings{};
  read_into(&rings, &copy_.rings, sizeof rings);
  const auto of_lane = [&](const detail::RingRecord& ring) { return ring.live != 0 && ring.lane == lane_index; };
  read(&copy_.lanes[lane_index], sizeof copy_.lanes[lane_index]);
  for (std::size_t i = 0; i < rings.size(); ++i) {
    if (of_lane(rings[i]) || of_lane(copy_.rings[i])) read(&copy_.rings[i], sizeof copy_.rings[i]);
  }
  for (std::uint32_t i = 0; i < detail::kMaxThreads; ++i) {
    const detail::ThreadRecord& thread = copy_.threads[i];
    const bool in_use = (thread.lanes[lane_index / 64] >> lane_index % 64 & 1) != 0;
    if (thread.id != 0 && in_use) read(&copy_.magazines[i][lane_index], kMagazineNumbers);
  }
}

std::span<const detail::BorrowRecord> SegmentReader::read_borrows() {
  read(&copy_.borrow_records, sizeof copy_.borrow_records);
  const auto count = std::min<std::uint64_t>(copy_.borrow_records, detail::kMaxBorrows);
  read(copy_.borrows.data(), count * sizeof(detail::BorrowRecord));
  return std::span(copy_.borrows).first(count);
}

std::vector<std::uint64_t> SegmentReader::addresses(std::span<std::byte* const> part) const {
  std::vector<std::uint64_t> addresses(part.size());
  read_into(addresses.data(), part.data(), part.size_bytes());
  return addresses;
}

void SegmentReader::read(void* where, std::size_t bytes) { read_into(where, where, bytes); }

/// What the file has at the place that is in the copy.
void SegmentReader::read_into(void* to, const void* place, std::size_t bytes) const {
  const auto offset =
      static_cast<std::size_t>(static_cast<const std::byte*>(place) - reinterpret_cast<const std::byte*>(&copy_));
  if (!file_.read(to, bytes, offset)) throw Failure(fmt::format("{} became shorter while it was read", name_));
}

}  // namespace weir::tool
