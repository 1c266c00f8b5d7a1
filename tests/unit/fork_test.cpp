#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pool_testing.h"

// A child of fork has none of its parent's buffers: it may not lend, and what it destroys does nothing.

namespace weir {
namespace {

using testing::expect_law;
using testing::small_options;

struct Ending {
  int status = 0;
  std::string said;  ///< on standard error
};

/// Runs `work` in a child of fork; its status is what `work` returns, or the signal that killed it.
Ending in_child(const std::function<int()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    std::_Exit(work());
  }
  close(ends[1]);
  Ending ending;
  char text[4096];
  for (ssize_t got = 0; (got = read(ends[0], text, sizeof text)) > 0;)
    ending.said.append(text, static_cast<std::size_t>(got));
  close(ends[0]);
  waitpid(child, &ending.status, 0);
  return ending;
}

void expect_clean(const Ending& ending) {
  EXPECT_TRUE(WIFEXITED(ending.status)) << "killed by signal " << WTERMSIG(ending.status) << ": " << ending.said;
  EXPECT_EQ(WEXITSTATUS(ending.status), 0) << ending.said;
}

void expect_abort(const Ending& ending, const std::string& line) {
  EXPECT_TRUE(WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGABRT) << ending.status << ": " << ending.said;
  EXPECT_NE(ending.said.find(line), std::string::npos) << ending.said;
}

TEST(Fork, AChildDoesNotLend) {
  Pool pool(small_options());
  (void)pool.lend(100);  // there is a magazine with buffers
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{4096}, std::size_t{65536}}) {
    expect_abort(in_child([&] {
                   (void)pool.lend(bytes);
                   return 0;
                 }),
                 "weir: lend in a child of fork");
  }
  expect_law(pool, 0);
}

TEST(Fork, AChildLendsInNoOtherWayEither) {
  Pool pool(small_options());
  Lane lane = pool.lane(100);
  std::byte* const raw = pool.lend(100).release();
  const auto expect_refused = [](const std::function<void()>& work) {
    expect_abort(in_child([&] {
                   work();
                   return 0;
                 }),
                 "in a child of fork");
  };
  expect_refused([&] { (void)lane.lend(); });
  expect_refused([&] { (void)pool.lend_pages(4096); });
  expect_refused([&] {
    std::array<Loan, 3> loans;
    (void)pool.lend_many(100, loans);
  });
  expect_refused([&] { (void)pool.adopt(raw); });
  (void)pool.adopt(raw);
  expect_law(pool, 0);
}

TEST(Fork, AChildNeitherGrowsNorTrims) {
  Options options = small_options(2u << 20);
  options.max_bytes = 16u << 20;
  Pool pool(options);
  pool.reserve(4u << 20);
  expect_clean(in_child([&] { return pool.trim() == 0 ? 0 : 1; }));
  const Ending ending = in_child([&] {
    try {
      pool.reserve(2u << 20);
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 0;
    }
    return 1;
  });
  expect_clean(ending);
  EXPECT_NE(ending.said.find("a child of fork"), std::string::npos) << ending.said;
  EXPECT_GT(pool.trim(), 0U);
  expect_law(pool, 0);
}

TEST(Fork, AChildHasNoHelperAndDestroysItsPool) {
  Options options = small_options(2u << 20);
  options.max_bytes = 16u << 20;
  options.grow_bytes = 2u << 20;
  options.decay_seconds = 1;
  auto pool = std::make_unique<Pool>(options);
  for (int i = 0; i < 20; ++i) {
    expect_clean(in_child([&] {
      const auto threads = std::filesystem::directory_iterator("/proc/self/task");
      if (std::distance(begin(threads), end(threads)) != 1) return 1;
      pool.reset();
      return 0;
    }));
  }
  const std::vector<Loan> loans = testing::lend_all(*pool, 65536);
  for (int i = 0; i < 2000 && pool->grades().size() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(pool->grades().size(), 2U) << "the parent's goes on";
}

TEST(Fork, AChildDropsManyWithoutHarm) {
  Pool pool(small_options());
  std::array<Loan, 20> loans;
  ASSERT_EQ(pool.lend_many(4096, loans), loans.size());
  expect_clean(in_child([&] {
    drop_many(loans);
    return 0;
  }));
  expect_law(pool, loans.size());
}

TEST(Fork, AChildDropsWithoutHarm) {
  Pool pool(small_options());
  Loan kept = pool.lend(4096);
  Loan other = pool.lend(512);
  testing::mark(kept, 5);
  expect_clean(in_child([&] {
    { const Loan dropped = std::move(kept); }
    other = Loan{};
    return 0;
  }));
  EXPECT_TRUE(testing::is_marked(kept, 5));
  expect_law(pool, 2);
}

TEST(Fork, AChildDestroysAPoolWithLoansOut) {
  auto pool = std::make_unique<Pool>(small_options());
  const Loan loan = pool->lend(4096);
  expect_clean(in_child([&] {
    pool.reset();
    return 0;
  }));
  expect_law(*pool, 1);
  testing::mark(loan, 9);
}

TEST(Fork, AChildFlushesNothing) {
  Pool pool(small_options());
  (void)pool.lend(100);
  const Counts before = pool.counts();
  expect_clean(in_child([&] {
    pool.flush();
    return 0;
  }));
  EXPECT_EQ(pool.counts().cached, before.cached);
  expect_law(pool, 0);
}

TEST(Fork, AChildEndsByExitWithAPoolThatIsStatic) {
  static Pool pool(small_options(1u << 20));
  (void)pool.lend(100);
  expect_clean(in_child([] {
    std::exit(0);  // NOLINT(concurrency-mt-unsafe): destroys what is static, which is the point
    return 1;
  }));
  expect_law(pool, 0);
}

TEST(Fork, AChildIsToldThatItCannotMakeAPool) {
  const Pool pool(small_options());
  const Ending ending = in_child([] {
    try {
      const Pool own(small_options());
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 0;
    }
    return 1;
  });
  expect_clean(ending);
  EXPECT_NE(ending.said.find("a child of fork cannot make a pool"), std::string::npos) << ending.said;
  expect_law(pool, 0);
}

TEST(Fork, TheParentGoesOnLendingAfterManyChildren) {
  Pool pool(small_options());
  for (int i = 0; i < 20; ++i) {
    const Loan loan = pool.lend(4096);
    expect_clean(in_child([] { return 0; }));
    testing::mark(loan, 3);
  }
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
