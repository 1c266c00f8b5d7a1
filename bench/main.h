#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "memory_use.h"
#include "workloads.h"

namespace bench {

/// The main() of the program of one allocator. `bench-NAME WHAT [NUMBER]`: see usage().
template <Allocator A>
class Program {
 public:
  static int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    const double number = argc > 2 ? std::atof(argv[2]) : 0;
    if (argc > 3 || number < 0) return usage(argv[0]);
    try {
      [[maybe_unused]] const typename A::Guest guest;
      return run(what, number) ? 0 : usage(argv[0]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
      return 1;
    }
  }

 private:
  static int usage(const char* name) {
    std::fprintf(stderr,
                 "Usage: %s time MILLISECONDS | set-up | resident | same-size | PAIRS COUNT\n"
                 "  PAIRS is pair, varying or lane: exactly COUNT pairs, for counting instructions\n",
                 name);
    return 2;
  }

  static bool run(std::string_view what, double number) {
    if (what == "time" && number > 0) {
      time_all(number);
    } else if (what == "set-up") {
      count_set_up<A>();
    } else if (what == "resident") {
      count_resident<A>("resident/mixed", kMixed, SizeTable{});
    } else if (what == "same-size") {
      count_resident<A>("resident/same", kPages, SameSize{});
    } else {
      return number > 0 && run_pairs(what, static_cast<std::size_t>(number));
    }
    return true;
  }

  static void time_all(double milliseconds) {
    time_pairs<A>(milliseconds);
    time_batches<A>(milliseconds);
    if constexpr (A::kBulk) time_bulk<A>(milliseconds);
    time_replace<A>("replace/coloured", milliseconds);
    if constexpr (requires { typename A::Paged; })
      time_replace<typename A::Paged>("replace/page-aligned", milliseconds);
    time_mixed<A>(milliseconds);
    time_relay<A>(milliseconds);
    time_threads<A>(milliseconds);
  }

  static bool run_pairs(std::string_view what, std::size_t count) {
    A allocator(kAllClasses);
    if (what == "pair") {
      pairs(allocator, kPage, count);
    } else if (what == "varying") {
      varying_pairs(allocator, count);
    } else if constexpr (HasLanes<A>) {
      if (what != "lane") return false;
      lane_pairs(allocator, kPage, count);
    } else {
      return false;
    }
    return true;
  }
};

}  // namespace bench
