#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <ranges>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "options/options.h"
#include "os/numa.h"
#include "pool_testing.h"

// Every option of the table runs: a pool that is made with it lends, and takes back.

namespace weir {
namespace {

using Settings = std::map<std::string, std::string>;

/// How an option is tried: values of it, each beside what else it takes, and what must hold of the pool then.
struct Trial {
  std::vector<std::string> values{};
  Settings beside{};
  std::function<void(Pool&)> expect = [](Pool&) {};
};

void expect_zeros_again(Pool& pool) {
  for (int round = 0; round < 3; ++round) {
    const std::vector<Loan> all = testing::lend_all(pool, 4096);
    for (const Loan& loan : all) {
      ASSERT_TRUE(testing::is_marked(loan, 0)) << "round " << round;
      testing::mark(loan, 7);
    }
  }
}

void expect_bytes(Pool& pool) {
  std::size_t bytes = 0;
  for (const Grade& grade : pool.grades()) bytes += grade.bytes;
  EXPECT_GE(bytes, pool.options().bytes);
}

const std::map<std::string, Trial>& trials() {
  static const std::map<std::string, Trial> all{
      {"WEIR_BYTES", {{"256k", "5m", "16m"}, {}, expect_bytes}},
      {"WEIR_CLASSES", {{"64", "4096,65536", "4160,100032,1m"}}},
      {"WEIR_PAGE_CLASSES", {{"none", "8k,1m"}}},
      {"WEIR_MAX_BYTES", {{"64m"}, {}, [](Pool& pool) { pool.reserve(4u << 20); }}},
      {"WEIR_NODE_MAX_BYTES", {{"32m"}, {{"WEIR_MAX_BYTES", "512m"}}, [](Pool& pool) { pool.reserve(4u << 20); }}},
      {"WEIR_CLASS_MAX_BYTES", {{"4k:16m,64k:16m"}}},
      {"WEIR_NODES", {{std::to_string(os::memory_nodes().front())}}},
      {"WEIR_PLACEMENT", {{"interleave"}}},
      {"WEIR_GROW", {{"64k", "16m"}, {{"WEIR_MAX_BYTES", "64m"}}}},
      {"WEIR_LOW_WATER", {{"2m"}, {{"WEIR_MAX_BYTES", "64m"}, {"WEIR_GROW", "2m"}}}},
      {"WEIR_DECAY", {{"1"}, {{"WEIR_MAX_BYTES", "64m"}}, [](Pool& pool) { pool.reserve(4u << 20); }}},
      {"WEIR_SLAB", {{"64k", "256k"}}},
      {"WEIR_PAGES", {{"1g", "2m", "thp", "4k"}}},
      {"WEIR_STRICT", {{"1"}}},
      {"WEIR_TRACE", {{"1"}}},
      {"WEIR_SCRUB", {{"1"}, {}, expect_zeros_again}},
      {"WEIR_RECV_BYTES", {{"4k"}}},
      {"WEIR_RING_ENTRIES", {{"16"}}},
      {"WEIR_RECV", {{"ring", "direct", "epoll"}}},
      {"WEIR_IDLE", {{"0", "10"}}},
      {"WEIR_DEADLINE", {{"1000"}}},
      {"WEIR_ALERTS", {{"journald", "off"}}},
  };
  return all;
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const OptionLine& line : describe_options({})) names.push_back(line.name);
  return names;
}

std::string value_of(const Environment& environment, const std::string& name) {
  const std::vector<OptionLine> lines = describe_options(environment);
  return std::ranges::find(lines, name, &OptionLine::name)->value;
}

/// The variables, from here to its end.
class Variables {
 public:
  explicit Variables(Settings settings) : settings_(std::move(settings)) {
    for (const auto& [name, value] : settings_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : settings_) unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  const Settings settings_;
};

/// Of every size, and of pages where there are some; each is written to.
std::vector<Loan> lend_some(Pool& pool) {
  std::vector<Loan> loans;
  const Options& options = pool.options();
  for (const std::uint32_t bytes : options.classes) {
    for (int i = 0; i < 40; ++i) loans.push_back(pool.lend(bytes));
  }
  for (const std::uint32_t bytes : options.page_classes) loans.push_back(pool.lend_pages(bytes));
  for (std::size_t i = 0; i < loans.size(); ++i) {
    if (loans[i]) testing::mark(loans[i], static_cast<std::uint8_t>(i));
  }
  return loans;
}

std::uint64_t lent(const std::vector<Loan>& loans) {
  return static_cast<std::uint64_t>(std::ranges::count_if(loans, [](const Loan& loan) { return bool{loan}; }));
}

/// Loans are dropped where they were lent and elsewhere, alone and many at a time.
void lend_and_drop(Pool& pool) {
  for (int round = 0; round < 5; ++round) {
    std::vector<Loan> loans = lend_some(pool);
    EXPECT_GT(lent(loans), 0U);
    testing::expect_law(pool, lent(loans));
    std::vector<Loan> others;
    std::thread([&] {
      others = lend_some(pool);
      round % 2 == 0 ? drop_many(loans) : loans.clear();
    }).join();
    testing::expect_law(pool, lent(others));
  }
  testing::expect_law(pool, 0);
  (void)pool.trim();
  testing::expect_law(pool, 0);
}

class OptionTrial : public ::testing::TestWithParam<std::string> {
 protected:
  static void run(const Trial& trial, Settings settings) {
    settings.insert(trial.beside.begin(), trial.beside.end());
    settings.insert({"WEIR_BYTES", "8m"});
    settings.insert({"WEIR_PAGES", "4k"});
    settings.insert({"WEIR_ALERTS", "off"});
    const Variables variables(settings);
    Pool pool(Options::from_env());
    trial.expect(pool);
    lend_and_drop(pool);
  }
};

TEST_P(OptionTrial, Lends) {
  const std::string& name = GetParam();
  ASSERT_TRUE(trials().contains(name)) << "a new option needs a trial";
  const Trial& trial = trials().at(name);
  for (const std::string& value : trial.values) {
    SCOPED_TRACE(value);
    EXPECT_NE(value_of({{name, value}}, name), value_of({}, name)) << "that is its default";
    try {
      run(trial, {{name, value}});
    } catch (const Error& error) {
      const std::string said = error.what();
      if (said.find("not locked") != std::string::npos) GTEST_SKIP() << "memory cannot be locked here";
      ADD_FAILURE() << said;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, OptionTrial, ::testing::ValuesIn(option_names()),
                         [](const auto& each) { return each.param; });

TEST(OptionTrials, AreOfOptionsThatThereAre) {
  for (const auto& name : trials() | std::views::keys)
    EXPECT_TRUE(std::ranges::count(option_names(), name) > 0) << name;
}

/// Both watch the same drops.
TEST(OptionTrials, ScrubbingAndTracingGoTogether) {
  Options options = testing::small_options();
  options.alerts = Alerts::off;
  options.trace = options.scrub = true;
  Pool pool(options);
  expect_zeros_again(pool);
  lend_and_drop(pool);
}

}  // namespace
}  // namespace weir
