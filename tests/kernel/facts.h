#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <tuple>

#include "kernel/raw.h"

// Tests of the kernel by itself: what the engine relies on, as docs/kernel.md lists it.

namespace weir::testing {

class FactsTest : public ::testing::Test, protected RawRing {
 protected:
  using RawRing::RawRing;
  void SetUp() override {
    if (const std::string missing = ring_.missing(); !missing.empty()) GTEST_SKIP() << missing;
  }
};

inline constexpr std::array kOrdinaryRing{0U};
inline constexpr std::array kBothRings{0U, kDeferred};
inline std::string name_of_flags(unsigned flags) { return flags == 0 ? "ordinary" : "deferred"; }
inline std::string name_of_facts(const ::testing::TestParamInfo<unsigned>& info) { return name_of_flags(info.param); }

/// On an ordinary io_uring and on one with deferred task work.
class FactsOnBothRings : public FactsTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  explicit FactsOnBothRings(unsigned entries = 32, unsigned completions = 0)
      : FactsTest(GetParam(), entries, completions) {}
};

/// The same for each way of waiting.
using WayCase = std::tuple<Way, unsigned>;
class FactsOfEachWay : public FactsTest, public ::testing::WithParamInterface<WayCase> {
 protected:
  explicit FactsOfEachWay(unsigned entries = 32, unsigned completions = 0)
      : FactsTest(std::get<1>(GetParam()), entries, completions) {}
  void SetUp() override {
    FactsTest::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = missing(way()); !why.empty()) GTEST_SKIP() << why;
    if (way() == Way::into_buffer || way() == Way::poll) return;
    group_ = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes);
    ASSERT_EQ(group_->error(), 0);
    group_->provide_all();
  }
  static Way way() { return std::get<0>(GetParam()); }
  io_uring_sqe& arm(std::uint64_t name = kReceive, int fd = -1) { return receive(way(), name, fd); }
  std::string text_of(const Completion& got) {
    const auto bytes = static_cast<std::size_t>(got.res);
    if (way() == Way::into_buffer) return {reinterpret_cast<const char*>(own_.data()), bytes};
    return group_->text(got.bid(), bytes);
  }

  std::unique_ptr<RawGroup> group_;
};

inline std::string name_of_way(const ::testing::TestParamInfo<WayCase>& info) {
  return std::string(name_of(std::get<0>(info.param))) + "_" + name_of_flags(std::get<1>(info.param));
}

}  // namespace weir::testing

#define FACTS_ON_BOTH_RINGS(suite) \
  INSTANTIATE_TEST_SUITE_P(Rings, suite, ::testing::ValuesIn(weir::testing::kBothRings), weir::testing::name_of_facts)
#define FACTS_OF_EACH_WAY(suite, ways, rings)                                                                      \
  INSTANTIATE_TEST_SUITE_P(Each, suite, ::testing::Combine(::testing::ValuesIn(ways), ::testing::ValuesIn(rings)), \
                           weir::testing::name_of_way)
