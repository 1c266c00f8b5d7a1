// weir-predict: the size predictor alone, asked over stdin and stdout.

#include <weir/options.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <stdexcept>
#include <string>

#include "common/numbers.h"
#include "common/streams.h"
#include "predict/protocol.h"

namespace {

using namespace weir;

constexpr const char* kProgram = "weir-predict";
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int fail(const std::string& line, int exit_code) {
  common::write_line(std::string(kProgram) + ": " + line, common::kLastPatience);
  return exit_code;
}

int run(const detail::SizePrices& prices) {
  const detail::SizeCosts costs(Options{}.classes, prices);
  predict::Protocol protocol(costs);
  std::string line;
  for (long number = 1; std::getline(std::cin, line); ++number) {
    try {
      const std::string answer = protocol.answer(line);
      if (!answer.empty() && !(std::cout << answer << std::endl)) return common::output_failed(kProgram);
    } catch (const std::invalid_argument& error) {
      return fail("line " + std::to_string(number) + ": " + error.what(), kExitFailed);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  common::prepare_streams();
  std::ios::sync_with_stdio(false);
  CLI::App app{
      "Foretells the size of buffer for each stream's next receive, as a receiver does, so that it can be scored on\n"
      "recorded traffic. It reads lines and answers `next`:\n"
      "  new CONN                   a stream appears\n"
      "  next CONN                  answered with the size of its next buffer, in bytes\n"
      "  got CONN BYTES CAPACITY    a receive of it took BYTES into a buffer of CAPACITY\n"
      "  done CONN TOTAL            what had come is drained; need not be said\n"
      "The sizes are those of a pool by default: 512 bytes to 64 KiB. The default prices are those of multishot\n"
      "receives from buffer rings; for single receives: --switch-price 0 --stale 0.",
      "weir-predict"};
  detail::SizePrices prices = detail::kMultishotPrices;
  app.add_option("--byte-price", prices.byte, "Cost of a byte of buffer lent, where a receive costs 600 ns")
      ->type_name("NS")
      ->check(common::from_to(0, 1000))
      ->capture_default_str();
  app.add_option("--switch-price", prices.change, "Cost of a receive into another size than the one before")
      ->type_name("NS")
      ->check(common::from_to(0, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--stale", prices.stale, "Receives between the answer and its use")
      ->type_name("N")
      ->check(common::from_to(0, 1'000'000))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return common::end_output(kProgram, app.exit(help));
  } catch (const CLI::ParseError& error) {
    return fail(common::shown(error.what()) + " (see weir-predict --help)", kExitUsage);
  }
  return run(prices);
}
