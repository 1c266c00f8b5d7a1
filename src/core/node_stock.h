#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace weir::detail {

/// The memory of a pool on one node: slabs that no class has yet, and pages for the kernel's buffer rings.
/// Thread safe.
class NodeStock {
 public:
  explicit NodeStock(std::size_t slab_bytes) : slab_bytes_(slab_bytes) {}

  /// REQUIRES: bytes is a multiple of the slab size.
  void add_memory(std::byte* base, std::size_t bytes);

  /// An uncut slab, or nullptr.
  std::byte* take_slab();
  void give_slab(std::byte* slab);

  /// Page-aligned memory of at most a slab, or nullptr.
  std::byte* take_pages(std::size_t bytes);
  void give_pages(std::byte* where, std::size_t bytes);

  std::size_t slab_bytes() const { return slab_bytes_; }

 private:
  struct PageSlab {
    std::byte* base;
    std::vector<bool> used;
  };

  std::byte* take_slab_locked();

  std::size_t slab_bytes_;
  std::mutex mutex_;
  std::vector<std::byte*> slabs_;
  std::vector<PageSlab> page_slabs_;
};

}  // namespace weir::detail
