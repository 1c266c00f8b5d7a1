#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pool_testing.h"
#include "stats/segment.h"

// The library lives in a program that it does not know: each test is a process of its own, which is such a program.

namespace weir {
namespace {

using testing::small_options;

constexpr std::size_t kMiB = 1 << 20;

Options quiet_options(std::size_t bytes = 4 * kMiB) {
  Options options = small_options(bytes);
  options.alerts = Alerts::off;
  return options;
}

/// What `work` returns, in a process of its own; nothing when that did not end by itself.
std::optional<long> in_child(const std::function<long()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const int far_end = fcntl(ends[1], F_DUPFD, 100);  // beyond what the test closes
    const long answer = work();
    const bool said = write(far_end, &answer, sizeof answer) == sizeof answer;
    std::_Exit(said ? 0 : 1);
  }
  close(ends[1]);
  long answer = 0;
  const bool said = read(ends[0], &answer, sizeof answer) == sizeof answer;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::printf("killed by signal %d\n", WTERMSIG(status));
  return said && status == 0 ? std::optional(answer) : std::nullopt;
}

void lend_on_a_new_thread(Pool& pool) {
  std::thread([&] {
    for (const std::uint32_t bytes : pool.options().classes) const Loan loan = pool.lend(bytes);
    for (const std::uint32_t bytes : pool.options().page_classes) const Loan loan = pool.lend_pages(bytes);
    const Loan none = pool.lend(std::size_t{1} << 40);
  }).join();
}

long bytes_of(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? static_cast<long>(status.st_size) : -1;
}

TEST(Descriptors, OfTheProgramAreNotTakenForTheLibrarysThatItClosed) {
  const auto wrong = in_child([] {
    Options options = quiet_options();
    options.max_bytes = 16 * kMiB;
    auto pool = std::make_unique<Pool>(options);
    int last = 0;
    while (last < 20) last = dup(0);
    for (int fd = 3; fd <= last; ++fd) close(fd);
    std::array<int, 17> logs{};
    std::generate(logs.begin(), logs.end(), [] { return memfd_create("log", MFD_CLOEXEC); });
    lend_on_a_new_thread(*pool);
    pool->reserve(4 * kMiB);
    pool.reset();
    return static_cast<long>(std::count_if(logs.begin(), logs.end(), [](int fd) { return bytes_of(fd) != 0; }));
  });
  EXPECT_EQ(wrong, 0) << "files that the program has not written to have grown, or are closed";
}

#ifndef WEIR_SANITIZED  // whose own memory is locked too

/// But for files' pages, of which a program that makes a pool has read more.
long resident() {
  std::ifstream status("/proc/self/status");
  long bytes = 0;
  for (std::string line; std::getline(status, line);) {
    for (const std::string key : {"RssAnon:", "RssShmem:"}) {
      if (line.starts_with(key)) bytes += std::stol(line.substr(key.size())) * 1024;
    }
  }
  return bytes;
}

/// How much more memory a process takes with a pool than without, when all is locked before or after.
std::optional<long> cost_of_pool(int before, int after) {
  const auto taken = [&](bool with_pool) {
    return in_child([&]() -> long {
      if (before != 0 && mlockall(before) != 0) return -1;
      Options options = quiet_options(8 * kMiB);
      options.max_bytes = 2048 * kMiB;
      options.decay_seconds = 3600;  // there is a thread
      const std::unique_ptr<Pool> pool = with_pool ? std::make_unique<Pool>(options) : nullptr;
      if (with_pool) lend_on_a_new_thread(*pool);
      if (!with_pool) std::thread([] {}).join();
      if (after != 0 && mlockall(after) != 0) return -1;
      return resident();
    });
  };
  const std::optional<long> with = taken(true);
  const std::optional<long> without = taken(false);
  if (!with || !without || *with < 0 || *without < 0) return {};
  return *with - *without;
}

TEST(LockedMemory, IsThatOfThePoolAndLittleBeside) {
  if (mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) GTEST_SKIP() << "mlockall is not permitted";
  munlockall();
  constexpr long kMost = 10 * kMiB;
  constexpr int kAll = MCL_CURRENT | MCL_FUTURE;
  for (const auto& [before, after] :
       {std::pair{kAll, 0}, {MCL_FUTURE, 0}, {kAll | MCL_ONFAULT, 0}, {0, kAll}, {0, kAll | MCL_ONFAULT}}) {
    const std::optional<long> cost = cost_of_pool(before, after);
    ASSERT_TRUE(cost);
    EXPECT_LT(*cost, kMost) << "mlockall " << before << " before, " << after << " after";
    EXPECT_GT(*cost, 4 * static_cast<long>(kMiB)) << "the pool itself, and not what the library had before";
  }
}

/// The limit is for the pool, not for address space.
TEST(LockedMemory, AddressSpaceDoesNotCountAgainstTheLimit) {
  const auto refused = in_child([]() -> long {
    const rlimit limit{.rlim_cur = 6 * kMiB, .rlim_max = 6 * kMiB};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || mlockall(MCL_FUTURE) != 0) return -1;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) return -1;
    try {
      Options options = quiet_options(kMiB);
      options.max_bytes = 2048 * kMiB;
      Pool pool(options);
      return pool.lend(100) ? 0 : 1;
    } catch (const Error& error) {
      std::puts(error.what());
      return 1;
    }
  });
  if (refused == -1) GTEST_SKIP() << "mlockall is not permitted";
  EXPECT_EQ(refused, 0);
}

#endif

TEST(FileSizeLimit, KeepsNoPoolFromWorking) {
  const auto lent = in_child([]() -> long {
    const rlimit limit{.rlim_cur = 4096, .rlim_max = 4096};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return -1;
    Options options = quiet_options();
    options.max_bytes = 16 * kMiB;
    Pool pool(options);
    lend_on_a_new_thread(pool);
    pool.reserve(4 * kMiB);
    return static_cast<long>(pool.counts().law_holds() && pool.check_all().empty());
  });
  EXPECT_EQ(lent, 1);
}

long places_in_use() {
  const auto& threads = detail::segment().threads;
  return std::count_if(threads.begin(), threads.end(), [](const auto& each) { return each.id != 0; });
}

/// Whether a new thread keeps what it drops.
bool new_thread_has_magazine(Pool& pool) {
  const std::uint64_t before = pool.counts().cached;
  bool kept = false;
  std::thread([&] {
    { const Loan loan = pool.lend(512); }
    kept = pool.counts().cached > before;
  }).join();
  return kept;
}

TEST(EndingThreads, ThatUseAPoolFirstInADestructorOfTheirDataLeaveTheirPlace) {
  const auto places = in_child([]() -> long {
    Pool pool(quiet_options());
    pthread_key_t key;
    pthread_key_create(&key, [](void* loan) { delete static_cast<Loan*>(loan); });
    for (int i = 0; i < 300; ++i) {
      auto* loan = new Loan(pool.lend(4096));
      std::thread([&] { pthread_setspecific(key, loan); }).join();
    }
    return new_thread_has_magazine(pool) && pool.counts().user == 0 ? places_in_use() : -1;
  });
  EXPECT_EQ(places, 1);
}

#ifndef WEIR_SANITIZED  // which would be told nothing of the end of such threads
TEST(EndingThreads, ThatAreGoneWithoutAWordLeaveTheirPlacesToOthers) {
  const auto kept = in_child([]() -> long {
    Pool pool(quiet_options());
    for (int i = 0; i < 300; ++i) {
      std::thread([&] {
        { const Loan loan = pool.lend(4096); }
        syscall(SYS_exit, 0);  // of the thread
      }).join();
    }
    return new_thread_has_magazine(pool) && pool.check_all().empty();
  });
  EXPECT_EQ(kept, 1);
}
#endif

/// Does all that a thread may do with pools while it is to be cancelled.
void* use_while_cancelled(void* reached) {
  pthread_cancel(pthread_self());
  Options options = small_options();
  options.decay_seconds = 3600;
  {
    Pool pool(options);
    for (int round = 0; round < 2; ++round) {
      auto loans = testing::lend_all(pool, 4096);  // until an alert is written
      pool.flush();
    }
    pool.trim();
  }
  *static_cast<bool*>(reached) = true;
  pthread_testcancel();
  *static_cast<bool*>(reached) = false;
  return nullptr;
}

TEST(Cancellation, WaitsUntilTheLibraryIsLeft) {
  const auto right = in_child([]() -> long {
    bool reached = false;
    pthread_t thread;
    pthread_create(&thread, nullptr, use_while_cancelled, &reached);
    void* answer = nullptr;
    pthread_join(thread, &answer);
    return answer == PTHREAD_CANCELED && reached;
  });
  EXPECT_EQ(right, 1);
}

}  // namespace
}  // namespace weir
