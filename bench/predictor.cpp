// What the size predictor takes for a receive, observe() and predict() together, on the recorded traffic.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "receive/predictor.h"

namespace {

using weir::detail::Predictor;
using weir::detail::SizeCosts;
using weir::detail::SizePrices;

constexpr std::array<std::uint32_t, 8> kSizes{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
constexpr std::size_t kMost = 50000;  // receives of a trace, so that a turn is short

struct Receive {
  std::uint32_t stream;
  std::uint32_t bytes;
  std::uint32_t capacity;
};

struct Trace {
  std::uint32_t streams = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> arrivals;  ///< stream and bytes
};

Trace load(const std::filesystem::path& path) {
  const auto close = [](std::FILE* file) { ::pclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> lines(::popen(("gzip -dc '" + path.string() + "'").c_str(), "r"),
                                                          close);
  Trace trace;
  std::map<std::string, std::uint32_t> streams;
  std::array<char, 128> line{};
  while (lines && std::fgets(line.data(), line.size(), lines.get()) != nullptr) {
    std::array<char, 16> name{};
    char direction = 0;
    std::uint32_t bytes = 0;
    if (std::sscanf(line.data(), "%*[0-9],%15[0-9],%c,%u", name.data(), &direction, &bytes) != 3) continue;
    const auto [stream, added] = streams.emplace(name.data() + std::string(1, direction), trace.streams);
    trace.streams += added ? 1 : 0;
    trace.arrivals.emplace_back(stream->second, bytes);
  }
  return trace;
}

/// The receives by which a receiver that does as predicted would take the arrivals.
std::vector<Receive> receives_of(const Trace& trace, const SizeCosts& costs) {
  std::vector<Predictor> predictors(trace.streams, Predictor(costs));
  std::vector<Receive> receives;
  for (auto [stream, left] : trace.arrivals) {
    while (left > 0 && receives.size() < kMost) {
      const std::uint32_t capacity = predictors[stream].predict();
      receives.push_back({stream, std::min(left, capacity), capacity});
      predictors[stream].observe(receives.back().bytes, capacity);
      left -= receives.back().bytes;
    }
  }
  return receives;
}

void run(benchmark::State& state, const Trace& trace, const SizePrices& prices) {
  const SizeCosts costs(kSizes, prices);
  const std::vector<Receive> receives = receives_of(trace, costs);
  if (receives.empty()) return state.SkipWithError("the trace cannot be read: is gzip installed?");
  std::vector<Predictor> predictors(trace.streams, Predictor(costs));
  for (auto _ : state) {
    for (const Receive& receive : receives) {
      predictors[receive.stream].observe(receive.bytes, receive.capacity);
      benchmark::DoNotOptimize(predictors[receive.stream].predict());
    }
  }
  state.counters["receive"] = benchmark::Counter(
      static_cast<double>(receives.size()),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);  // printed in nanoseconds: "8.1n"
}

}  // namespace

int main(int argc, char** argv) {
  const std::array<std::pair<const char*, SizePrices>, 3> settings{
      {{"ring", weir::detail::kMultishotPrices}, {"even", weir::detail::kSinglePrices}, {"tight", {.byte = 0.5}}}};
  for (const auto& file : std::filesystem::directory_iterator(WEIR_TRACES)) {
    if (file.path().extension() != ".gz") continue;
    const auto trace = std::make_shared<const Trace>(load(file.path()));
    const std::string name = file.path().stem().stem().string();
    for (const auto& [setting, prices] : settings) {
      benchmark::RegisterBenchmark((name + "/" + setting).c_str(),
                                   [trace, prices = prices](benchmark::State& state) { run(state, *trace, prices); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
