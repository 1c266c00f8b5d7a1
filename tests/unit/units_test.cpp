#include "base/units.h"

#include <gtest/gtest.h>

#include <string>

#include "base/words.h"

namespace weir::base {
namespace {

TEST(ParseSize, TakesPlainNumbersAndPowersOf1024) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("4096"), 4096U);
  for (const char* text : {"64k", "64K", "64kb", "64kB", "64KB", "64KiB", "64kib"})
    EXPECT_EQ(parse_size(text), 65536U) << text;
  for (const char* text : {"3m", "3M", "3MiB", "3mB"}) EXPECT_EQ(parse_size(text), 3U << 20) << text;
  for (const char* text : {"1g", "1G", "1GiB"}) EXPECT_EQ(parse_size(text), 1U << 30) << text;
  EXPECT_EQ(parse_size("7b"), 7U);
  EXPECT_EQ(parse_size("7B"), 7U);
  EXPECT_EQ(parse_size("007k"), 7U * 1024);
}

TEST(ParseSize, RefusesWhatIsNotOne) {
  for (const char* text : {"",   " ",   "k",    "-1",  "+1",   "1.5m", "1 k",   " 1k", "1k ",  "1kk",
                           "1t", "1ki", "1kbs", "1ib", "0x10", "1e3",  "1,000", "1bb", "1kIB", "one"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << "'" << text << "'";
  }
  EXPECT_EQ(parse_size(std::string_view("1\0k", 3)), std::nullopt);
}

TEST(ParseSize, KnowsWhereSixtyFourBitsEnd) {
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_size("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_size("17179869183g"), 17179869183ULL << 30);
  EXPECT_EQ(parse_size("17179869184g"), std::nullopt);
  EXPECT_EQ(parse_size("18014398509481984k"), std::nullopt);
}

TEST(ParseSize, ReadsOnlyItsOwnText) {
  const std::string text = "12k,34m";
  EXPECT_EQ(parse_size(std::string_view(text).substr(0, 3)), 12U * 1024);
  EXPECT_EQ(parse_size(std::string_view(text).substr(0, 2)), 12U);
}

TEST(SizeText, IsTakenBackWhole) {
  EXPECT_EQ(size_text(0), "0");
  EXPECT_EQ(size_text(1023), "1023");
  EXPECT_EQ(size_text(64 * kKiB), "64k");
  EXPECT_EQ(size_text(kMiB + kMiB / 2), "1536k");
  EXPECT_EQ(size_text(1024 * kMiB), "1g");
  for (const std::uint64_t bytes : {std::uint64_t{65537}, std::uint64_t{3} << 40, UINT64_MAX})
    EXPECT_EQ(parse_size(size_text(bytes)), bytes);
}

TEST(FormatSize, UsesTheLargestUnit) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(512), "512 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1 KiB");
  EXPECT_EQ(format_size(64 * kKiB), "64 KiB");
  EXPECT_EQ(format_size(kMiB + kMiB / 2), "1.5 MiB");
  EXPECT_EQ(format_size(1024 * kMiB), "1 GiB");
  EXPECT_EQ(format_size(std::uint64_t{5} << 40), "5 TiB");
  EXPECT_EQ(format_size(std::uint64_t{5} << 50), "5120 TiB");
}

TEST(RoundUp, GoesToTheNextStep) {
  EXPECT_EQ(round_up(0, 4096), 0U);
  EXPECT_EQ(round_up(1, 4096), 4096U);
  EXPECT_EQ(round_up(4096, 4096), 4096U);
  EXPECT_EQ(round_up(4097, 4096), 8192U);
}

TEST(EditDistance, CountsLettersChangedAddedAndTakenAway) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("bytes", "bites"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

}  // namespace
}  // namespace weir::base
