#include <weir/pool.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "cache/depot.h"
#include "main.h"
#include "slab/pool_state.h"

namespace {

using bench::Plan;

/// Four to a doubling, in steps of a cache line below 512 bytes; else powers of two.
std::vector<std::uint32_t> classes_for(const Plan& plan) {
  std::vector<std::uint32_t> classes;
  for (std::size_t bytes = plan.least; bytes <= plan.most;) {
    classes.push_back(static_cast<std::uint32_t>(bytes));
    bytes += plan.fine ? std::max<std::size_t>(64, std::bit_floor(bytes) / 4) : bytes;
  }
  return classes;
}

weir::Options options_for(const Plan& plan, bool paged) {
  weir::Options options = weir::Options::from_env();
  options.name = "bench";
  options.bytes = plan.bytes;
  options.classes = classes_for(plan);
  options.page_classes.clear();
  if (paged) options.page_classes = {bench::kPage};
  return options;
}

class Weir {
 public:
  using Buffer = weir::Loan;
  struct Guest {};
  static constexpr bool kBulk = true;

  explicit Weir(const Plan& plan) : Weir(plan, false) {}

  Buffer take(std::size_t bytes) noexcept { return pool_.lend(bytes); }
  static void give(Buffer& buffer) noexcept { buffer = Buffer{}; }
  void take_many(std::size_t bytes, std::span<Buffer> many) noexcept { pool_.lend_many(bytes, many); }
  static void give_many(std::span<Buffer> many) noexcept { weir::drop_many(many); }
  static std::byte* data(const Buffer& buffer) noexcept { return buffer.data(); }

  struct Lane {
    weir::Lane lane;
    Buffer take() noexcept { return lane.lend(); }
    static void give(Buffer& buffer) noexcept { Weir::give(buffer); }
  };
  Lane lane(std::size_t bytes) noexcept { return {pool_.lane(bytes)}; }

  std::size_t page_bytes() const { return pool_.grades().front().page_bytes; }

  /// Of the arenas, which are resident from the start, what no class has.
  std::size_t unused_bytes() {
    std::size_t unused = 0;
    for (const weir::Grade& grade : pool_.grades()) unused += grade.bytes;
    for (std::size_t i = 0; i < pool_.state().classes().count(); ++i) {
      const weir::detail::Depot& depot = pool_.state().home_depot(i);
      unused -= depot.record().capacity.load() / depot.size_class().per_slab * depot.size_class().slab_bytes;
    }
    return unused;
  }

 protected:
  Weir(const Plan& plan, bool paged) : pool_(options_for(plan, paged)) {}

  weir::Pool pool_;
};

/// Buffers that start at pages.
class PagedWeir : public Weir {
 public:
  explicit PagedWeir(const Plan& plan) : Weir(plan, true) {}

  Buffer take(std::size_t bytes) noexcept { return pool_.lend_pages(bytes); }
  void take_many(std::size_t bytes, std::span<Buffer> many) noexcept { pool_.page_lane(bytes).lend_many(many); }
};

struct WeirWithPages : Weir {
  using Weir::Weir;
  using Paged = PagedWeir;
};

}  // namespace

int main(int argc, char** argv) { return bench::Program<WeirWithPages>::main(argc, argv); }
