#include "sim/buffer_group.h"

#include <algorithm>
#include <utility>

#include "sim/report.h"

namespace weir::sim {

unsigned BufferGroup::count() const {
  const unsigned count = static_cast<std::uint16_t>(io_uring_smp_load_acquire(&ring_->tail) - head_);
  if (count > entries_) violate("group %u: the ring's tail overran its head: %u of %u", id_, count, entries_);
  return count;
}

std::span<std::byte> BufferGroup::at(unsigned ahead) const {
  const io_uring_buf& buffer = entry(ahead);
  return {reinterpret_cast<std::byte*>(buffer.addr), buffer.len};
}

BufferGroup::Used BufferGroup::use(std::size_t bytes) {
  Used used;
  while (bytes > 0) {
    io_uring_buf& first = entry(0);
    if (opened_.data == nullptr) opened_ = {at(0).data(), first.len};
    const auto part = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, first.len));
    bytes -= part;
    if (incremental_) {
      first.addr += part;
      first.len -= part;
      used.more = first.len > 0;
      if (used.more) break;
    }
    ++head_;
    used.whole.push_back(std::exchange(opened_, {}));
  }
  return used;
}

void BufferGroup::add_ranges(std::vector<Range>& all) const {
  std::vector<std::uint16_t> bids;
  for (unsigned i = 0; i < count(); ++i) {
    all.push_back({at(i).data(), at(i).size()});
    bids.push_back(entry(i).bid);
  }
  std::sort(bids.begin(), bids.end());
  if (const auto twice = std::adjacent_find(bids.begin(), bids.end()); twice != bids.end()) {
    violate("group %u: buffer id %u is in the ring twice", id_, *twice);
  }
}

}  // namespace weir::sim
