#include "options/options.h"

#include <gtest/gtest.h>
#include <weir/error.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "options/strategies.h"

namespace weir {
namespace {

const std::vector<std::string> kNames{
    "WEIR_BYTES",           "WEIR_CLASSES",    "WEIR_PAGE_CLASSES", "WEIR_MAX_BYTES", "WEIR_NODE_MAX_BYTES",
    "WEIR_CLASS_MAX_BYTES", "WEIR_NODES",      "WEIR_PLACEMENT",    "WEIR_GROW",      "WEIR_LOW_WATER",
    "WEIR_DECAY",           "WEIR_SLAB",       "WEIR_PAGES",        "WEIR_STRICT",    "WEIR_TRACE",
    "WEIR_SCRUB",           "WEIR_RECV_BYTES", "WEIR_RING_ENTRIES", "WEIR_RECV",      "WEIR_IDLE",
    "WEIR_DEADLINE",        "WEIR_ALERTS"};

/// Each test starts without any WEIR_* variable of ours.
class OptionsTest : public testing::Test {
 protected:
  OptionsTest() { clear(); }
  ~OptionsTest() override { clear(); }

  static void clear() {
    for (const std::string& name : kNames) unsetenv(name.c_str());
    unsetenv("WEIR_COLOUR");
  }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
  static Options with(const char* name, const std::string& value) {
    clear();
    set(name, value);
    return Options::from_env();
  }
  /// What from_env() says of the value, or "accepted".
  static std::string refusal(const char* name, const std::string& value) {
    try {
      with(name, value);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), std::errc::invalid_argument);
      return error.what();
    }
    return "accepted";
  }
  static void expect_refused(const char* name, const std::string& value) {
    const std::string said = refusal(name, value);
    const std::string start = std::string(name) + "='" + value + "' ";
    EXPECT_EQ(said.substr(0, start.size()), start);
    EXPECT_NE(said.find(": it takes "), std::string::npos) << said;
    EXPECT_NE(said.find("for example: export " + std::string(name) + "="), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
};

TEST_F(OptionsTest, WithoutVariablesAreTheDefaults) {
  const Options options = Options::from_env();
  EXPECT_EQ(options.bytes, 64U << 20);
  EXPECT_EQ(options.classes, (std::vector<std::uint32_t>{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}));
  EXPECT_EQ(options.page_classes, (std::vector<std::uint32_t>{4096, 16384, 65536}));
  EXPECT_EQ(options.max_bytes, 0U);
  EXPECT_EQ(options.node_max_bytes, 0U);
  EXPECT_EQ(options.grow_bytes, 0U);
  EXPECT_EQ(options.decay_seconds, 0U);
  EXPECT_EQ(options.slab_bytes, 2U << 20);
  EXPECT_EQ(options.pages, Pages::automatic);
  EXPECT_FALSE(options.strict);
  EXPECT_EQ(options.receive_bytes, 16384U);
  EXPECT_EQ(options.ring_entries, 256U);
}

TEST_F(OptionsTest, BytesAreTakenFromTheLeastToTheMost) {
  EXPECT_EQ(with("WEIR_BYTES", "256k").bytes, 256U << 10);
  EXPECT_EQ(with("WEIR_BYTES", "262144").bytes, 256U << 10);
  EXPECT_EQ(with("WEIR_BYTES", "1GiB").bytes, 1U << 30);
  EXPECT_EQ(with("WEIR_BYTES", "4096g").bytes, std::size_t{1} << 42);
  for (const char* bad :
       {"", "255k", "262143", "0", "-1", "4097g", "lots", "64m64m", "99999999999999999999", "1.5g", "64 m"}) {
    expect_refused("WEIR_BYTES", bad);
  }
}

TEST_F(OptionsTest, ClassesAscendInStepsOf64) {
  EXPECT_EQ(with("WEIR_CLASSES", "64,192,16k").classes, (std::vector<std::uint32_t>{64, 192, 16384}));
  EXPECT_EQ(with("WEIR_CLASSES", "16k,2m").classes, (std::vector<std::uint32_t>{16384, 2097152}));
  for (const char* bad : {"", ",", "16k,", ",16k", "16k,,32k", "16k 32k", "0,16k", "63,16k", "65,16k", "32k,16k",
                          "16k,16k", "16k,2097216", "16k,4m", "16k,8g", "4294967296", "16k,-64"}) {
    expect_refused("WEIR_CLASSES", bad);
  }
}

TEST_F(OptionsTest, ClassesAreAtMost120) {
  std::string most = "64";
  for (int i = 2; i <= 119; ++i) most += "," + std::to_string(64 * i);
  EXPECT_EQ(with("WEIR_CLASSES", most + ",16k").classes.size(), 120U);
  EXPECT_NE(refusal("WEIR_CLASSES", most + ",16k,17k").find("has more than 120 sizes"), std::string::npos);
}

TEST_F(OptionsTest, PageClassesAscendInPagesOrAreNone) {
  EXPECT_EQ(with("WEIR_PAGE_CLASSES", "4k,12k,2m").page_classes, (std::vector<std::uint32_t>{4096, 12288, 2097152}));
  EXPECT_TRUE(with("WEIR_PAGE_CLASSES", "none").page_classes.empty());
  for (const char* bad : {"", ",", "0", "64", "4k,", "6k", "8k,4k", "4k,4k", "4m", "None", "none,4k", "4k,none"})
    expect_refused("WEIR_PAGE_CLASSES", bad);
  std::string most = "4k";
  for (int i = 2; i <= 120; ++i) most += "," + std::to_string(4 * i) + "k";
  EXPECT_EQ(with("WEIR_PAGE_CLASSES", most).page_classes.size(), 120U);
  EXPECT_NE(refusal("WEIR_PAGE_CLASSES", most + ",1m").find("has more than 120 sizes"), std::string::npos);
}

TEST_F(OptionsTest, TheMaximumIsNoLessThanTheStart) {
  EXPECT_EQ(with("WEIR_MAX_BYTES", "0").max_bytes, 0U);
  EXPECT_EQ(with("WEIR_MAX_BYTES", "64m").max_bytes, 64U << 20) << "as much as there is at the start";
  EXPECT_EQ(with("WEIR_MAX_BYTES", "4096g").max_bytes, std::size_t{1} << 42);
  for (const char* bad : {"", "1", "63m", "67108863", "4097g", "-1", "more"}) expect_refused("WEIR_MAX_BYTES", bad);
  clear();
  set("WEIR_BYTES", "1m");
  set("WEIR_MAX_BYTES", "2m");
  EXPECT_EQ(Options::from_env().max_bytes, 2U << 20);
}

TEST_F(OptionsTest, ANodesMaximumHoldsAChunk) {
  EXPECT_EQ(with("WEIR_NODE_MAX_BYTES", "0").node_max_bytes, 0U);
  EXPECT_EQ(with("WEIR_NODE_MAX_BYTES", "64k").node_max_bytes, 64U << 10);
  EXPECT_EQ(with("WEIR_NODE_MAX_BYTES", "4096g").node_max_bytes, std::size_t{1} << 42);
  for (const char* bad : {"", "1", "65535", "4097g", "-1", "all"}) expect_refused("WEIR_NODE_MAX_BYTES", bad);
}

TEST_F(OptionsTest, AMaximumIsOfAClassThatThereIs) {
  EXPECT_TRUE(with("WEIR_CLASS_MAX_BYTES", "none").class_max_bytes.empty());
  EXPECT_EQ(with("WEIR_CLASS_MAX_BYTES", "16k:32m,65536:1g").class_max_bytes,
            (std::vector<ClassLimit>{{16384, 32U << 20}, {65536, 1U << 30}}));
  for (const char* bad : {"", ",", "16k", "16k:", ":1m", "16k:1m,", "16k:1m:2m", "16k=1m", "16k:much", "None"})
    expect_refused("WEIR_CLASS_MAX_BYTES", bad);
  EXPECT_NE(refusal("WEIR_CLASS_MAX_BYTES", "12k:1m").find("names 12k, which is no class"), std::string::npos);
  EXPECT_NE(refusal("WEIR_CLASS_MAX_BYTES", "16k:1m,4k:1m,16k:2m").find("names 16k twice"), std::string::npos);
  clear();
  set("WEIR_PAGE_CLASSES", "12k");
  set("WEIR_CLASS_MAX_BYTES", "12k:1m");
  EXPECT_EQ(Options::from_env().class_max_bytes.size(), 1U) << "a page-aligned class will do";
}

TEST_F(OptionsTest, NodesAscend) {
  EXPECT_TRUE(with("WEIR_NODES", "all").nodes.empty());
  EXPECT_EQ(with("WEIR_NODES", "0").nodes, (std::vector<int>{0}));
  EXPECT_EQ(with("WEIR_NODES", "0,2,11").nodes, (std::vector<int>{0, 2, 11}));
  for (const char* bad : {"", ",", "0,", "1,0", "0,0", "-1", "-1,0", "0x1", "0-1", "99999999999", "local", "All"})
    expect_refused("WEIR_NODES", bad);
}

TEST_F(OptionsTest, PlacementsAreTwo) {
  EXPECT_EQ(Options{}.placement, Placement::local);
  EXPECT_EQ(with("WEIR_PLACEMENT", "interleave").placement, Placement::interleave);
  EXPECT_EQ(with("WEIR_PLACEMENT", "local").placement, Placement::local);
  for (const char* bad : {"", "0", "Local", "interleaved"}) expect_refused("WEIR_PLACEMENT", bad);
}

TEST_F(OptionsTest, GrowsByChunksAtLeast) {
  EXPECT_EQ(with("WEIR_GROW", "0").grow_bytes, 0U);
  EXPECT_EQ(with("WEIR_GROW", "64k").grow_bytes, 64U << 10);
  for (const char* bad : {"", "1", "63k", "4097g", "on"}) expect_refused("WEIR_GROW", bad);
}

TEST_F(OptionsTest, LowWaterAndDecay) {
  EXPECT_EQ(with("WEIR_LOW_WATER", "1").low_water_bytes, 1U);
  for (const char* bad : {"", "4097g", "-1", "10%"}) expect_refused("WEIR_LOW_WATER", bad);
  EXPECT_EQ(with("WEIR_DECAY", "86400").decay_seconds, 86400U);
  for (const char* bad : {"", "86401", "-1", "1.5", "1s", "4294967297"}) expect_refused("WEIR_DECAY", bad);
}

TEST_F(OptionsTest, TheSlabIsAPowerOfTwo) {
  for (const auto& [text, bytes] : {std::pair{"64k", 64U << 10}, {"128K", 128U << 10}, {"2m", 2U << 20}}) {
    EXPECT_EQ(with("WEIR_SLAB", text).slab_bytes, bytes);
  }
  for (const char* bad : {"", "0", "32k", "96k", "4m", "65537", "big"}) expect_refused("WEIR_SLAB", bad);
}

TEST_F(OptionsTest, PagesAreNamed) {
  EXPECT_EQ(with("WEIR_PAGES", "auto").pages, Pages::automatic);
  EXPECT_EQ(with("WEIR_PAGES", "1g").pages, Pages::huge_1g);
  EXPECT_EQ(with("WEIR_PAGES", "2m").pages, Pages::huge_2m);
  EXPECT_EQ(with("WEIR_PAGES", "thp").pages, Pages::transparent);
  EXPECT_EQ(with("WEIR_PAGES", "4k").pages, Pages::small);
  for (const char* bad : {"", "1G", "2g", "2M", "THP", "4kb", "auto "}) expect_refused("WEIR_PAGES", bad);
  for (const Pages pages : {Pages::automatic, Pages::huge_1g, Pages::huge_2m, Pages::transparent, Pages::small}) {
    EXPECT_EQ(with("WEIR_PAGES", name_of(pages)).pages, pages);
  }
}

TEST_F(OptionsTest, AlertsGoSomewhere) {
  EXPECT_EQ(Options{}.alerts, Alerts::standard_error);
  EXPECT_EQ(with("WEIR_ALERTS", "stderr").alerts, Alerts::standard_error);
  EXPECT_EQ(with("WEIR_ALERTS", "journald").alerts, Alerts::journal);
  EXPECT_EQ(with("WEIR_ALERTS", "off").alerts, Alerts::off);
  for (const char* bad : {"", "0", "syslog", "STDERR", "off "}) expect_refused("WEIR_ALERTS", bad);
}

TEST_F(OptionsTest, FlagsAreZeroOrOne) {
  for (const auto& [name, flag] :
       {std::pair{"WEIR_STRICT", &Options::strict}, {"WEIR_TRACE", &Options::trace}, {"WEIR_SCRUB", &Options::scrub}}) {
    EXPECT_FALSE(Options{}.*flag) << name;
    EXPECT_FALSE(with(name, "0").*flag) << name;
    EXPECT_TRUE(with(name, "1").*flag) << name;
    for (const char* bad : {"", "2", "yes", "true", "01"}) expect_refused(name, bad);
  }
}

TEST_F(OptionsTest, ReceiveBytesAreAnySizeButNothing) {
  EXPECT_EQ(with("WEIR_RECV_BYTES", "1").receive_bytes, 1U);
  EXPECT_EQ(with("WEIR_RECV_BYTES", "64k").receive_bytes, 65536U);
  for (const char* bad : {"", "0", "-1", "8g", "much"}) expect_refused("WEIR_RECV_BYTES", bad);
}

TEST_F(OptionsTest, RingEntriesAreAPowerOfTwo) {
  EXPECT_EQ(with("WEIR_RING_ENTRIES", "1").ring_entries, 1U);
  EXPECT_EQ(with("WEIR_RING_ENTRIES", "32768").ring_entries, 32768U);
  EXPECT_EQ(with("WEIR_RING_ENTRIES", "1k").ring_entries, 1024U);
  for (const char* bad : {"", "0", "3", "65536", "-4", "16g", "some"}) expect_refused("WEIR_RING_ENTRIES", bad);
}

TEST_F(OptionsTest, Strategies) {
  EXPECT_EQ(Options::from_env().recv, Strategy::automatic);
  EXPECT_EQ(with("WEIR_RECV", "auto").recv, Strategy::automatic);
  EXPECT_EQ(with("WEIR_RECV", "ring").recv, Strategy::ring);
  EXPECT_EQ(with("WEIR_RECV", "direct").recv, Strategy::direct);
  EXPECT_EQ(with("WEIR_RECV", "poll_recv").recv, Strategy::poll_recv);
  EXPECT_EQ(with("WEIR_RECV", "poll_first").recv, Strategy::poll_first);
  for (const char* bad : {"", "Ring", "ring ", "poll", "epoll,ring"}) expect_refused("WEIR_RECV", bad);
  EXPECT_STREQ(name_of(static_cast<Strategy>(200)), "?");
}

TEST_F(OptionsTest, TimesOfReceives) {
  EXPECT_EQ(with("WEIR_IDLE", "0").idle_ms, 0U);
  EXPECT_EQ(with("WEIR_IDLE", "86400000").idle_ms, 86'400'000U);
  EXPECT_EQ(with("WEIR_DEADLINE", "250").deadline_ms, 250U);
  for (const char* name : {"WEIR_IDLE", "WEIR_DEADLINE"}) {
    for (const char* bad : {"", "-1", "1s", "86400001", "99999999999", "soon"}) expect_refused(name, bad);
  }
}

TEST_F(OptionsTest, EveryExampleGivenIsAccepted) {
  for (const std::string& name : kNames) {
    const std::string said = refusal(name.c_str(), "?");
    const std::string before = "export " + name + "=";
    const std::size_t at = said.find(before);
    ASSERT_NE(at, std::string::npos) << said;
    const std::string example = said.substr(at + before.size(), said.find(": ", at) - at - before.size());
    EXPECT_EQ(refusal(name.c_str(), example), "accepted") << name << " " << example;
  }
}

TEST_F(OptionsTest, SmallClassesNeedNoOtherVariable) {
  EXPECT_EQ(with("WEIR_CLASSES", "512,2k").classes, (std::vector<std::uint32_t>{512, 2048}));
}

TEST_F(OptionsTest, AnUnknownNameIsSaidAndIgnored) {
  set("WEIR_COLOUR", "blue");
  testing::internal::CaptureStderr();
  EXPECT_EQ(Options::from_env().bytes, 64U << 20);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("weir: WEIR_COLOUR is ignored"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(OptionsTest, KnownNamesAreNotSaid) {
  set("WEIR_PAGES", "4k");
  testing::internal::CaptureStderr();
  Options::from_env();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(OptionsTest, DescribeTellsValueAndSourceOfEach) {
  set("WEIR_BYTES", "131072k");
  set("WEIR_STRICT", "0");
  const std::vector<OptionLine> lines = describe_options(own_environment());
  ASSERT_EQ(lines.size(), kNames.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].name, kNames[i]);
    EXPECT_FALSE(lines[i].form.empty());
    EXPECT_FALSE(lines[i].meaning.empty());
    const bool here = lines[i].name == "WEIR_BYTES" || lines[i].name == "WEIR_STRICT";
    EXPECT_EQ(lines[i].source, here ? "environment" : "default");
    EXPECT_EQ(refusal(lines[i].name.c_str(), lines[i].value), "accepted") << lines[i].name << " " << lines[i].value;
  }
  EXPECT_EQ(lines[0].value, "128m");
  EXPECT_EQ(lines[1].value, "512,1k,2k,4k,8k,16k,32k,64k");
}

TEST_F(OptionsTest, DescribeShowsEachBadValueAndItsFix) {
  const Environment environment{
      {"WEIR_PAGES", "8m"}, {"WEIR_BYTES", "1"}, {"WEIR_CLASSES", "100,200"}, {"WEIR_RECV", "ring"}};
  for (const OptionLine& line : describe_options(environment)) {
    const auto given = environment.find(line.name);
    const bool bad = given != environment.end() && line.name != "WEIR_RECV";
    EXPECT_EQ(!line.fault.empty(), bad) << line.name << ": " << line.fault;
    EXPECT_EQ(line.source, given != environment.end() ? "environment" : "default");
    if (!bad) continue;
    EXPECT_EQ(line.value, given->second);
    EXPECT_TRUE(line.fault.starts_with(line.name + "='" + line.value + "' ")) << line.fault;
    EXPECT_NE(line.fault.find("for example: export " + line.name + "="), std::string::npos) << line.fault;
  }
}

TEST_F(OptionsTest, AnUnknownVariableIsNamedWithTheNearest) {
  const auto unknown =
      unknown_variables({{"WEIR_BITES", "1"}, {"WEIR_BYTES", "64m"}, {"WEIR_RINGENTRIES", "1"}, {"WEIR_TOOL", "1"}});
  ASSERT_EQ(unknown.size(), 3U);
  EXPECT_EQ(unknown[0].name + " " + unknown[0].nearest, "WEIR_BITES WEIR_BYTES");
  EXPECT_EQ(unknown[1].nearest, "WEIR_RING_ENTRIES");
  EXPECT_EQ(unknown[2].nearest, "");
}

TEST(Environment, OfABlockHasTheFirstOfTwoAndNobodyElses) {
  using namespace std::string_view_literals;
  const Environment environment = parse_environment("HOME=/\0WEIR_A=1=2\0WEIR_A=3\0WEIR_B\0WEIR_C=\0WEIR_D=4"sv);
  EXPECT_EQ(environment, (Environment{{"WEIR_A", "1=2"}, {"WEIR_C", ""}, {"WEIR_D", "4"}}));
}

TEST_F(OptionsTest, ValidateRefusesWhatCodeGetsWrong) {
  const auto refused = [](auto change) {
    Options options;
    change(options);
    EXPECT_THROW(validate(options), Error);
  };
  EXPECT_NO_THROW(validate(Options{}));
  refused([](Options& o) { o.bytes = 0; });
  refused([](Options& o) { o.bytes = SIZE_MAX; });
  refused([](Options& o) { o.classes.clear(); });
  refused([](Options& o) { o.classes = {4096, 512}; });
  refused([](Options& o) { o.classes = {100, 16384}; });
  refused([](Options& o) { o.page_classes = {64}; });
  refused([](Options& o) { o.max_bytes = 1; });
  refused([](Options& o) { o.max_bytes = SIZE_MAX; });
  refused([](Options& o) { o.node_max_bytes = 1; });
  refused([](Options& o) { o.class_max_bytes = {{100, 1U << 20}}; });
  refused([](Options& o) { o.nodes = {-1}; });
  refused([](Options& o) { o.grow_bytes = 1; });
  refused([](Options& o) { o.low_water_bytes = SIZE_MAX; });
  refused([](Options& o) { o.decay_seconds = UINT32_MAX; });
  refused([](Options& o) { o.slab_bytes = 0; });
  refused([](Options& o) { o.receive_bytes = 0; });
  refused([](Options& o) { o.ring_entries = 0; });
  refused([](Options& o) { o.ring_entries = UINT32_MAX; });
}

TEST(Options, TheFormOfWeirRecvNamesAllStrategies) {
  const std::string form = detail::kStrategyForm;
  std::string names;
  for (const Strategy strategy : strategies()) {
    const bool last = strategy == strategies().back();
    names += (names.empty() ? "" : last ? " or " : ", ") + std::string(name_of(strategy));
  }
  EXPECT_EQ(form, names);
}

}  // namespace
}  // namespace weir
