#include <getopt.h>
#include <unistd.h>
#include <weir/error.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string_view>

#include "sim/known_seeds.h"
#include "sim/report.h"
#include "sim/world.h"

// weir-sim: the receive engine in a world where a stand-in for the kernel does whatever a kernel may do.

namespace {

using namespace weir::sim;

constexpr const char* kUsage = R"(Usage: weir-sim [--seeds N] [--start S | --soak] [--trace]

Runs weir's receive engine, unchanged, on a simulated kernel: the worlds that once failed, and N more (10000), which
follow from the seeds 1 and up, each with its kernel version, pool, connections, races and shortages. After every step
it checks that no buffer is lost or in two hands, that every byte arrives once and in order, that every request ends and
that nobody waits for ever.

  --seeds N   how many worlds
  --start S   from this seed on, without those that once failed
  --soak      a million, from a random seed far from those that were tried before; it is printed
  --trace     print each step

Exits with 0 when all held, with 1 and the seed at the first violation, and with 2 when it was called wrongly.
)";

struct Arguments {
  std::optional<std::uint64_t> seeds{};
  std::optional<std::uint64_t> start{};
  bool soak = false;
  bool trace = false;
};

volatile std::sig_atomic_t interrupted = 0;

[[noreturn]] void misused(const char* what, const char* value) {
  std::fprintf(stderr, "weir-sim: %s%s: see weir-sim --help\n", what, value);
  std::exit(2);
}

std::uint64_t number_of(const char* option, std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) misused(option, text.data());
  return number;
}

Arguments arguments_of(int count, char** words) {
  constexpr option kOptions[] = {{"seeds", required_argument, nullptr, 'n'}, {"start", required_argument, nullptr, 's'},
                                 {"soak", no_argument, nullptr, 'f'},        {"trace", no_argument, nullptr, 't'},
                                 {"help", no_argument, nullptr, 'h'},        {}};
  Arguments arguments;
  for (int option = 0; (option = getopt_long(count, words, "h", kOptions, nullptr)) != -1;) {
    switch (option) {
      case 'n':
        arguments.seeds = number_of("--seeds takes a number, not ", optarg);
        break;
      case 's':
        arguments.start = number_of("--start takes a number, not ", optarg);
        break;
      case 'f':
        arguments.soak = true;
        break;
      case 't':
        arguments.trace = true;
        break;
      case 'h':
        std::fputs(kUsage, stdout);
        std::exit(0);
      default:
        std::exit(2);
    }
  }
  if (optind < count) misused("no argument is taken: ", words[optind]);
  if (arguments.soak && arguments.start) misused("--soak chooses the start, ", "which --start names");
  return arguments;
}

struct Act {
  void (World::*happen)();
  unsigned weight;
};

constexpr Act kActs[] = {
    {&World::loop, 40},     {&World::speak, 40},     {&World::run_kernel, 10},      {&World::open, 12},
    {&World::stop, 3},      {&World::pause, 5},      {&World::resume, 7},           {&World::finish, 2},
    {&World::reset_far, 1}, {&World::drop_one, 10},  {&World::drop_all, 2},         {&World::borrow, 4},
    {&World::pass_time, 6}, {&World::borrow_all, 1}, {&World::replace_receiver, 1},
};
constexpr std::size_t kActCount = std::size(kActs);

/// Each seed prefers some acts, and leaves some out.
class Acts {
 public:
  explicit Acts(Random& random) : random_(random) {
    constexpr unsigned kFactors[] = {0, 1, 1, 1, 4};
    for (std::size_t i = 0; i < kActCount; ++i) {
      const bool needed = i < 2 || kActs[i].happen == &World::open;
      sum_ += kActs[i].weight * (needed ? 1 : random.pick(kFactors));
      until_[i] = sum_;
    }
  }

  void happen(World& world) {
    const auto* const act = std::upper_bound(std::begin(until_), std::end(until_), random_.below(sum_));
    (world.*kActs[act - std::begin(until_)].happen)();
  }

 private:
  Random& random_;
  std::size_t sum_ = 0;
  std::size_t until_[kActCount]{};
};

void run(std::uint64_t seed, bool traced) {
  begin_seed(seed, traced);
  Random random(seed);
  World world(random);
  Acts acts(random);
  const std::size_t steps = random.between(50, 600);
  for (std::size_t step = 1; step <= steps; ++step) {
    begin_step(step);
    acts.happen(world);
    world.check();
    if (step % 32 == 0) world.check_pool();
  }
  if (random.chance(30)) world.run_short();
  if (random.chance(70)) world.settle();
  world.end();
  if (traced) {
    std::printf("seed %llu: %016llx\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(digest()));
  }
}

/// So far from 0 that no seeds from there on have been run before.
std::uint64_t far_start() {
  std::random_device device;
  const std::uint64_t start = (std::uint64_t{device()} << 32 | device()) >> 1;
  std::printf("seeds from %llu on\n", static_cast<unsigned long long>(start));
  return start;
}

/// Those that are run: `known` first, and `count` from `start` on.
struct Seeds {
  std::span<const KnownSeed> known{};
  std::uint64_t start;
  std::uint64_t count;

  std::uint64_t size() const { return known.size() + count; }
  std::uint64_t operator[](std::uint64_t i) const {
    return i < known.size() ? known[i].seed : start + (i - known.size());
  }
};

Seeds seeds_of(const Arguments& arguments) {
  if (arguments.soak) return {.start = far_start(), .count = arguments.seeds.value_or(1'000'000)};
  const std::uint64_t count = arguments.seeds.value_or(10'000);
  if (arguments.start) return {.start = *arguments.start, .count = count};
  return {.known = kKnownSeeds, .start = 1, .count = count};
}

/// A line now and then; on a terminal, one line that is written over.
class Progress {
 public:
  explicit Progress(std::uint64_t seeds) : seeds_(seeds), terminal_(isatty(STDOUT_FILENO) == 1) {}

  void tell(std::uint64_t done) {
    const auto now = std::chrono::steady_clock::now();
    const bool last = done == seeds_ || interrupted != 0;
    if (!last && now - told_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10))) return;
    told_ = now;
    std::printf("%s%llu of %llu seeds%s", terminal_ ? "\r" : "", static_cast<unsigned long long>(done),
                static_cast<unsigned long long>(seeds_), terminal_ && !last ? "" : "\n");
    std::fflush(stdout);
  }

 private:
  std::uint64_t seeds_;
  bool terminal_;
  std::chrono::steady_clock::time_point told_ = std::chrono::steady_clock::now();
};

void run_all(const Seeds& seeds, bool traced) {
  Progress progress(seeds.size());
  for (std::uint64_t done = 0; done < seeds.size() && interrupted == 0;) {
    run(seeds[done], traced);
    progress.tell(++done);
  }
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = arguments_of(count, words);
  std::signal(SIGINT, [](int) { interrupted = 1; });
  watch_for_crashes();
  run_all(seeds_of(arguments), arguments.trace);
  return interrupted == 0 ? 0 : 128 + SIGINT;
}
