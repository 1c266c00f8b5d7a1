#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "kernel/facts.h"
#include "seed.h"

// Cancelling what waits for data: what comes of it, and that no byte is lost.

namespace weir::testing {
namespace {

using namespace std::chrono_literals;

class CancelFacts : public FactsOfEachWay {};
FACTS_OF_EACH_WAY(CancelFacts, kWays, kBothRings);
class ReceiveCancelFacts : public FactsOfEachWay {
 protected:
  /// The bytes that the receive delivers until it and its cancel have ended. No error comes with a buffer.
  std::string received_until_both_ended() {
    std::string got;
    bool cancelled = false;
    for (bool ended = false; (!ended || !cancelled) && !HasFailure();) {
      const Completion each = next();
      if (each.name == kCancel) {
        cancelled = true;
        EXPECT_TRUE(each.res == 0 || each.res == -ENOENT || each.res == -EALREADY) << each.res;
        continue;
      }
      EXPECT_FALSE(ended) << "a completion after the last";
      ended = !each.more();
      EXPECT_TRUE(each.res > 0 || (each.res == -ECANCELED && !each.has_buffer())) << each.res;
      if (each.res > 0) got += text_of(each);
      if (each.has_buffer()) group_->provide(each.bid());
    }
    return got;
  }
};
FACTS_OF_EACH_WAY(ReceiveCancelFacts, kReceives, kBothRings);

/// Of the completions, that of the request. There is one of the cancel too, before or after it.
Completion of_request(const std::vector<Completion>& seen, int cancel_result) {
  Completion found;
  EXPECT_EQ(seen.size(), 2U);
  for (const Completion& each : seen) {
    if (each.name == 1) found = each;
    EXPECT_TRUE(each.name == 1 || each.res == cancel_result) << "the cancel: " << each.res;
  }
  EXPECT_EQ(found.name, 1U);
  return found;
}

TEST_P(CancelFacts, EndsWhatWaitsWithoutABuffer) {
  arm();
  EXPECT_TRUE(all().empty());
  cancel(kReceive);
  const Completion ended = of_request(all(), 0);
  EXPECT_EQ(ended.res, -ECANCELED);
  EXPECT_EQ(ended.flags, 0U);
}

TEST_P(CancelFacts, FindsARequestThatWasSubmittedWithIt) {
  arm();
  cancel(kReceive);
  EXPECT_EQ(of_request(all(), 0).res, -ECANCELED);
}

TEST_P(CancelFacts, BeforeARequestOfTheSameNameLeavesThatOne) {
  cancel(kReceive);
  arm();
  const std::vector<Completion> seen = all();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].name, kCancel);
  EXPECT_EQ(seen[0].res, -ENOENT);
  say("late");
  const Completion got = next();
  EXPECT_EQ(got.name, kReceive);
  EXPECT_GT(got.res, 0);
}

TEST_P(CancelFacts, OfWhatHasEndedIsENOENT) {
  arm();
  submit();
  finish(sockets_);
  EXPECT_FALSE(next().more());
  cancel(kReceive);
  const Completion cancelled = next();
  EXPECT_EQ(cancelled.name, kCancel);
  EXPECT_EQ(cancelled.res, -ENOENT);
}

TEST_P(CancelFacts, OneCancelForEachOfMany) {
  constexpr std::uint64_t kMany = 40;
  std::vector<SocketPair> pairs;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    pairs.push_back(SocketPair::local());
    arm(100 + i, pairs.back().near.get());
    submit();
  }
  for (std::uint64_t i = 0; i < kMany; i += 2) {
    prepare(200 + i, [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, 100 + i, 0); });
    submit();
  }
  std::set<std::uint64_t> ended;
  for (const Completion& each : all()) {
    EXPECT_EQ(each.res, each.name >= 200 ? 0 : -ECANCELED);
    EXPECT_TRUE(ended.insert(each.name).second) << "ended twice";
    EXPECT_EQ(each.name % 2, 0U) << "another was ended";
  }
  EXPECT_EQ(ended.size(), kMany);
  say(pairs[1], "still here");
  EXPECT_EQ(next().name, 101U);
}

TEST_P(ReceiveCancelFacts, TheBufferIsNotWrittenAfterItsEnd) {
  arm();
  cancel(kReceive);
  EXPECT_EQ(of_request(all(), 0).res, -ECANCELED);
  const auto untouched = [](std::byte b) { return b == std::byte{0}; };
  say("for whoever comes next");
  EXPECT_TRUE(all().empty());
  EXPECT_TRUE(std::all_of(own_.begin(), own_.end(), untouched));
  EXPECT_TRUE(!group_ || std::all_of(group_->buffer(0), group_->buffer(0) + 8 * kBytes, untouched));
  EXPECT_EQ(rest(), "for whoever comes next");
}

void pass(std::chrono::nanoseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

/// Data that came before the cancel is with the receive, or still in the socket.
TEST_P(ReceiveCancelFacts, DataFromBeforeItIsDeliveredOrStaysQueued) {
  arm();
  submit();
  say("weir");
  cancel(kReceive);
  EXPECT_EQ(received_until_both_ended() + rest(), "weir");
}

/// The peer speaks at about the time of the cancel, which is moved to where either may be first.
TEST_P(ReceiveCancelFacts, NoByteIsLostWhenDataRacesWithIt) {
  const int rounds = steps(1000);
  std::atomic<int> asked{0};
  std::atomic<int> said{0};
  std::thread peer([&] {
    for (int round = 1; round <= rounds; ++round) {
      asked.wait(round - 1);
      send(sockets_.far.get(), "weir", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
      said = round;
      said.notify_one();
    }
  });
  std::chrono::nanoseconds delay{0};
  int data_won = 0;
  for (int round = 1; round <= rounds && !HasFailure(); ++round) {
    arm();
    submit();
    asked = round;
    asked.notify_one();
    pass(delay);
    io_uring_get_events(&ring_.get());  // which a cancel in the same call would come before, with deferred work
    cancel(kReceive);
    std::string got = received_until_both_ended();
    data_won += got.empty() ? 0 : 1;
    delay = std::clamp<std::chrono::nanoseconds>(delay + (got.empty() ? 500ns : -500ns), 0ns, 200us);
    said.wait(round - 1);
    got += rest();
    EXPECT_EQ(got, "weir") << "round " << round;
  }
  asked = rounds;  // also after a failure
  asked.notify_one();
  peer.join();
  EXPECT_TRUE(data_won > 0 && data_won < rounds) << "no race: data was first in " << data_won << " of " << rounds;
}

}  // namespace
}  // namespace weir::testing
