#pragma once

#include <weir/alerts.h>
#include <weir/detail/export.h>
#include <weir/strategy.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weir {

/// The first rung of the page ladder that a pool tries: 1 GiB hugetlb, then 2 MiB hugetlb, then transparent huge pages,
/// then 4 KiB.
enum class Pages : std::uint8_t { automatic, huge_1g, huge_2m, transparent, small };

/// Where the memory is that a thread is lent: on its own node, the nearest one where that has none; or, for what all
/// nodes use alike, on all of the pool's nodes in turn, slab by slab.
enum class Placement : std::uint8_t { local, interleave };

/// Where a pool's alerts go.
enum class Alerts : std::uint8_t { standard_error, journal, off };

/// The most memory that the buffers of one size may have.
struct ClassLimit {
  std::uint32_t buffer_bytes = 0;  ///< of the class, and of the page-aligned class of that size, each
  std::size_t most_bytes = 0;      ///< over all nodes; each may have an even part
  bool operator==(const ClassLimit&) const = default;
};

/// What a pool and its receivers are made with. `weir env` prints the WEIR_* variable, range and meaning of each.
struct WEIR_API Options {
  std::string name = "pool";      ///< shown by `weir stat`; at most 31 bytes are kept
  std::size_t bytes = 64u << 20;  ///< memory of the pool over all its nodes, mapped and populated at construction
  std::vector<std::uint32_t> classes{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};  ///< buffer sizes, ascending
  std::vector<std::uint32_t> page_classes{4096, 16384, 65536};  ///< sizes of the page-aligned buffers, ascending
  std::size_t max_bytes = 0;                ///< most memory that the pool may map; 0: no more than `bytes`
  std::size_t node_max_bytes = 0;           ///< most memory that the pool may map on one node; 0: as much as max_bytes
  std::vector<ClassLimit> class_max_bytes;  ///< classes not named may have all of the memory
  std::vector<int> nodes;                   ///< the system's numbers of those that memory is taken from; empty: all
  Placement placement = Placement::local;
  std::size_t grow_bytes = 0;  ///< a helper thread maps so much where memory is short, up to max_bytes; 0: none does
  std::size_t low_water_bytes = 0;    ///< less free memory than this is short; 0: only when a class finds none
  std::uint32_t decay_seconds = 0;    ///< the helper unmaps arenas that were unused for so long; 0: it does not
  std::size_t slab_bytes = 2u << 20;  ///< most memory that a class takes at once: a power of two from 64 KiB to 2 MiB
  Pages pages = Pages::automatic;     ///< automatic: 2 MiB hugetlb, or 1 GiB where whole ones fit and are free
  bool strict = false;                ///< true: refuse memory that is not exactly what `pages` asks for
  bool trace = false;                 ///< true: note who borrows each buffer; slower
  bool scrub = false;                 ///< true: overwrite each dropped buffer with zeros; slower
  std::uint32_t receive_bytes =
      16384;  ///< size of the buffers in a receiver's ring; predicted ones are up to four times as large
  std::uint32_t ring_entries = 256;     ///< slots of a receiver's buffer ring: a power of two up to 32,768
  Strategy recv = Strategy::automatic;  ///< how a receiver gets data, where it is told nothing else
  /// A receive that waited for so long without data is cancelled, and the connection waits by poll; 0: never. A second:
  /// one demotion costs some microseconds, so that even ten thousand connections that fall silent each second cost
  /// hundredths of a processor.
  std::uint32_t idle_ms = 1000;
  std::uint32_t deadline_ms =
      0;  ///< a connection without data for so long, or an eighth longer, ends with ETIMEDOUT; 0: never
  Alerts alerts = Alerts::standard_error;
  AlertSink on_alert;  ///< takes the alerts instead

  // The pool's helper thread calls these, with a stack of 512 KiB and under no lock, so they may call the pool; but
  // they must not throw, nor destroy it, which waits for them. Each is called once when its state begins, and again
  // only after it was over for a second.
  std::function<void()> on_low_water;  ///< less than low_water_bytes are free, and growing has not helped
  std::function<void()> on_exhausted;  ///< a lend came back empty, or a ring found no buffer

  /// The defaults, each replaced by its WEIR_* variable where that is set. Throws Error naming the variable, the
  /// value, the accepted form and a line that fixes it. A WEIR_* name that does not exist is ignored, and that is said
  /// on standard error.
  static Options from_env();
};

}  // namespace weir
