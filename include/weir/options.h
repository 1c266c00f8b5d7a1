#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

/// The first rung of the page ladder that a pool tries: 1 GiB hugetlb, then 2 MiB hugetlb, then transparent huge pages,
/// then 4 KiB.
enum class Pages : std::uint8_t { automatic, huge_1g, huge_2m, transparent, small };

/// What a pool and its receivers are made with. `weir env` prints the WEIR_* variable, range and meaning of each.
struct Options {
  std::string name = "pool";      ///< shown by `weir stat`; at most 31 bytes are kept
  std::size_t bytes = 64u << 20;  ///< memory of the pool over all its nodes, mapped and populated at construction
  std::vector<std::uint32_t> classes{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};  ///< buffer sizes, ascending
  std::vector<std::uint32_t> page_classes{4096, 16384, 65536};  ///< sizes of the page-aligned buffers, ascending
  std::size_t max_bytes = 0;            ///< most memory that the pool may map; 0: no more than `bytes`
  std::size_t slab_bytes = 2u << 20;    ///< most memory that a class takes at once: a power of two from 64 KiB to 2 MiB
  Pages pages = Pages::automatic;       ///< automatic: 2 MiB hugetlb, or 1 GiB where whole ones fit and are free
  bool strict = false;                  ///< true: refuse memory that is not exactly what `pages` asks for
  bool trace = false;                   ///< true: note who borrows each buffer; slower
  bool scrub = false;                   ///< true: overwrite each dropped buffer with zeros; slower
  std::uint32_t receive_bytes = 16384;  ///< size of the buffers that a receiver's ring holds
  std::uint32_t ring_entries = 256;     ///< slots of a receiver's buffer ring: a power of two up to 32,768

  /// The defaults, each replaced by its WEIR_* variable where that is set. Throws Error naming the variable, the
  /// value, the accepted form and a line that fixes it. A WEIR_* name that does not exist is ignored, and that is said
  /// on standard error.
  static Options from_env();
};

}  // namespace weir
