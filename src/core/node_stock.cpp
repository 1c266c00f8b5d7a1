#include "core/node_stock.h"

#include <algorithm>

#include "base/units.h"

namespace weir::detail {
namespace {

using Pages = std::vector<bool>;

std::size_t pages_of(std::size_t bytes) { return base::round_up(bytes, base::kSmallPage) / base::kSmallPage; }

/// Start of the first run of `count` free pages; used.end() when there is none.
Pages::iterator find_run(Pages& used, std::size_t count) {
  return std::search_n(used.begin(), used.end(), static_cast<std::ptrdiff_t>(count), false);
}

}  // namespace

void NodeStock::add_memory(std::byte* base, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  for (std::size_t end = bytes; end > 0; end -= slab_bytes_) slabs_.push_back(base + end - slab_bytes_);
}

std::byte* NodeStock::take_slab() {
  const std::lock_guard lock(mutex_);
  return take_slab_locked();
}

std::byte* NodeStock::take_slab_locked() {
  if (slabs_.empty()) return nullptr;
  std::byte* slab = slabs_.back();
  slabs_.pop_back();
  return slab;
}

void NodeStock::give_slab(std::byte* slab) {
  const std::lock_guard lock(mutex_);
  slabs_.push_back(slab);  // never allocates: add_memory made room for all of them
}

std::byte* NodeStock::take_pages(std::size_t bytes) {
  const std::size_t count = pages_of(bytes);
  if (bytes > slab_bytes_) return nullptr;
  const std::lock_guard lock(mutex_);
  for (PageSlab& slab : page_slabs_) {
    const auto run = find_run(slab.used, count);
    if (run == slab.used.end()) continue;
    std::fill_n(run, count, true);
    return slab.base + static_cast<std::size_t>(run - slab.used.begin()) * base::kSmallPage;
  }
  std::byte* fresh = take_slab_locked();
  if (fresh == nullptr) return nullptr;
  PageSlab& slab = page_slabs_.emplace_back(PageSlab{fresh, Pages(pages_of(slab_bytes_))});
  std::fill_n(slab.used.begin(), count, true);
  return fresh;
}

void NodeStock::give_pages(std::byte* where, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto slab = std::find_if(page_slabs_.begin(), page_slabs_.end(), [&](const PageSlab& candidate) {
    return where >= candidate.base && where < candidate.base + slab_bytes_;
  });
  const std::size_t first = static_cast<std::size_t>(where - slab->base) / base::kSmallPage;
  std::fill_n(slab->used.begin() + static_cast<std::ptrdiff_t>(first), pages_of(bytes), false);
}

}  // namespace weir::detail
