// What a lend costs that finds no buffer, by how many threads at once: overload must not feed itself.

#include <benchmark/benchmark.h>
#include <weir/pool.h>

#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

namespace {

/// A pool of which every buffer is lent.
class Exhausted {
 public:
  Exhausted() : pool_(options()) {
    while (weir::Loan loan = pool_.lend(kBytes)) loans_.push_back(std::move(loan));
  }
  weir::Pool& pool() { return pool_; }

 private:
  static constexpr std::uint32_t kBytes = 4096;
  static weir::Options options() {
    weir::Options options;
    options.bytes = 4u << 20;
    options.alerts = weir::Alerts::off;
    return options;
  }

  weir::Pool pool_;
  std::vector<weir::Loan> loans_;
};

void lend_in_vain(benchmark::State& state) {
  static Exhausted exhausted;
  for ([[maybe_unused]] auto each : state) {
    if (exhausted.pool().lend(4096)) std::abort();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lend_in_vain)->ThreadRange(1, 8)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
