#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "faults/failing_calls.h"
#include "faults/scenario.h"
#include "os/journal.h"
#include "pool_testing.h"
#include "stats/segment.h"

extern "C" int __lsan_do_recoverable_leak_check() __attribute__((weak));  // there with AddressSanitizer

// Every system call of the layer os fails once, with each errno that is worth it, in the life of a pool. Each is tried
// in a process of its own, which then plays the same without a fault, and must have left no more behind than a process
// without any fault.

namespace weir {
namespace {

using testing::Call;
using testing::kNone;
using testing::Outcome;

/// What one process has said.
struct Report {
  std::vector<Call> calls;
  Outcome outcome;
  std::string left;  ///< file descriptors and mapped bytes in the end
  bool ended = false;
};

template <typename Record, std::size_t Size>
void find_live(const std::array<Record, Size>& records, const char* kind, Outcome& outcome) {
  const auto live = std::count_if(records.begin(), records.end(), [](auto& record) { return record.live != 0; });
  if (live > 0) outcome.problems.push_back(std::to_string(live) + " records of " + kind + " are still live");
}

/// The segment must know of nothing any more.
void find_live_records(Outcome& outcome) {
  const detail::Segment& segment = detail::segment();
  find_live(segment.pools, "pools", outcome);
  find_live(segment.arenas, "arenas", outcome);
  find_live(segment.rings, "rings", outcome);
  find_live(segment.receivers, "receivers", outcome);
  for (const detail::LaneRecord& lane : segment.lanes) {
    if (lane.capacity != 0 || lane.free != 0 || lane.lends != lane.drops || lane.requested != 0)
      outcome.problems.emplace_back("a lane of no pool has buffers");
  }
}

#ifdef WEIR_SANITIZED
// The sanitizers map memory of their own. A process costs so much more that one errno a position must do.
constexpr std::size_t kMostErrors = 1;
std::size_t mapped_bytes() { return 0; }
#else
constexpr std::size_t kMostErrors = SIZE_MAX;

/// All that is mapped, but for the heap and the stack.
std::size_t mapped_bytes() {
  std::ifstream maps("/proc/self/maps");
  std::size_t bytes = 0;
  for (std::string line; std::getline(maps, line);) {
    std::size_t from = 0;
    std::size_t to = 0;
    const bool own = line.find("[heap]") != std::string::npos || line.find("[stack]") != std::string::npos;
    if (!own && std::sscanf(line.c_str(), "%zx-%zx", &from, &to) == 2) bytes += to - from;
  }
  return bytes;
}
#endif

bool has_leaks() { return __lsan_do_recoverable_leak_check != nullptr && __lsan_do_recoverable_leak_check() != 0; }

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

void say(std::ostream& out, const char* key, const std::vector<std::string>& lines) {
  for (std::string line : lines) {
    std::replace(line.begin(), line.end(), '\n', ' ');
    out << key << ' ' << line << '\n';
  }
}

struct Case {
  Options options;
  bool with_rings = false;
  bool before_5_14 = false;
};

/// In the child: the fault, then the same without one.
std::string try_fault(const Case& scene, std::size_t position, int error) {
  std::ostringstream out;
  testing::start_counting(position, error);
  Outcome first = testing::play(scene.options, scene.with_rings);
  for (const Call& call : testing::stop_counting()) {
    out << "call " << call.name;
    for (const int each : call.errors) out << ' ' << each;
    out << '\n';
  }
  find_live_records(first);
  Outcome second = testing::play(scene.options, scene.with_rings);
  find_live_records(second);
  say(out, "error", first.errors);
  say(out, "grade", first.grades);
  say(out, "problem", first.problems);
  say(out, "problem afterwards:", second.errors);
  say(out, "problem afterwards:", second.problems);
  if (has_leaks()) out << "problem memory of the heap has leaked\n";
  out << "left " << open_files() << " files, " << mapped_bytes() << " bytes\nend\n";
  return out.str();
}

Call parse_call(const std::string& text) {
  std::istringstream words(text);
  Call call;
  words >> call.name;
  for (int error = 0; call.errors.size() < kMostErrors && words >> error;) call.errors.push_back(error);
  return call;
}

Report parse(const std::string& text) {
  Report report;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(' '));
    const std::string rest = line.substr(std::min(line.size(), key.size() + 1));
    if (key == "call") report.calls.push_back(parse_call(rest));
    if (key == "error") report.outcome.errors.push_back(rest);
    if (key == "grade") report.outcome.grades.push_back(rest);
    if (key == "problem") report.outcome.problems.push_back(rest);
    if (key == "left") report.left = rest;
    if (key == "end") report.ended = true;
  }
  return report;
}

[[noreturn]] void be_child(const Case& scene, std::size_t position, int error, int pipe_end) {
  alarm(120);
  if (scene.before_5_14) testing::be_before_5_14();
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // so that what malloc maps is all in the heap
  std::string said = try_fault(scene, position, error);
  std::FILE* out = fdopen(pipe_end, "w");
  std::fwrite(said.data(), 1, said.size(), out);
  std::fflush(out);
  std::_Exit(0);
}

Report run_child(const Case& scene, std::size_t position = kNone, int error = 0) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    be_child(scene, position, error, ends[1]);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  Report report = parse(text);
  if (!report.ended || status != 0)
    report.outcome.problems.push_back(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended early");
  return report;
}

/// What a failing call leads to, where there is only one answer.
const std::set<std::string> kErrors{"memfd_create",
                                    "ftruncate",
                                    "fcntl",
                                    "mremap",
                                    "epoll_ctl",
                                    "eventfd",
                                    "pthread_atfork",
                                    "io_uring_register_probe",
                                    "io_uring_register_buf_ring",
                                    "pthread_create",
                                    "io_uring_register_buffers_update_tag"};
/// The calls by which a memory file is made: which errno it was says what helps.
const std::set<std::string> kOfFiles{"memfd_create", "ftruncate", "fcntl"};
const std::set<std::string> kGrades{"mbind", "mlock", "move_pages", "process_vm_writev"};
const std::set<std::string> kSeveral{
    "mmap", "madvise", "mprotect", "process_vm_readv", "fopen", "recv", "io_uring_register_buffers"};

const char* answer_to_fault(const Report& report, const Report& without) {
  if (!report.outcome.errors.empty()) return "an error";
  if (report.left != without.left) return "kept for the kernel";
  return report.outcome.grades == without.outcome.grades ? "nothing" : "a lesser grade";
}

const char* expected_answer(const Call& call, int error, bool strict) {
  if (call.name == "memfd_create" && error == EINVAL) return "nothing";  // the kernel does not know a flag
  if (call.name == "io_uring_unregister_buf_ring" && error == EEXIST) return "kept for the kernel";
  if (kErrors.contains(call.name) || (strict && kGrades.contains(call.name))) return "an error";
  return kGrades.contains(call.name) ? "a lesser grade" : "nothing";
}

/// Its calls are no part of a pool's life.
TEST(FaultyJournal, SaysWhichCallFailed) {
  testing::start_counting(kNone, 0);
  const int without = os::send_to_journal("MESSAGE=a test of weir\nPRIORITY=7\n");
  const std::vector<Call> calls = testing::stop_counting();
  ASSERT_EQ(calls.size(), 3U);
  for (std::size_t position = 0; position < calls.size(); ++position) {
    const int error = calls[position].errors.front();
    testing::start_counting(position, error);
    const int answer = os::send_to_journal("MESSAGE=a test of weir\nPRIORITY=7\n");
    EXPECT_EQ(testing::stop_counting().size(), position == 0 ? 1U : 3U) << "the socket is not closed";
    EXPECT_EQ(answer, calls[position].name == "close" ? without : -error) << calls[position].name;
  }
}

class Faults : public ::testing::Test {
 protected:
  static Options options(Pages pages, std::size_t bytes) {
    Options options = testing::small_options(bytes);
    options.pages = pages;
    options.max_bytes = 3 * std::max<std::size_t>(bytes, 2u << 20);  // a reserve() is of a huge page at least
    options.classes = {512, 4096, 16384, 65536};
    options.page_classes = {4096};
    options.ring_entries = 8;
    options.alerts = Alerts::off;  // whose calls would come at any position
    options.decay_seconds = 3600;  // there is a helper, which does nothing
    return options;
  }

  void try_all(const Case& scene) {
    const Report without = run_child(scene);
    ASSERT_EQ(without.outcome.problems, std::vector<std::string>{}) << "without any fault";
    if (!without.outcome.errors.empty()) GTEST_SKIP() << "no such pool here: " << without.outcome.errors.front();
    ASSERT_EQ(run_child(scene).left, without.left) << "what is left is not always the same";
    std::map<std::string, std::map<std::string, int>> answers;
    int tries = 0;
    for (std::size_t position = 0; position < without.calls.size(); ++position) {
      const Call& call = without.calls[position];
      for (const int error : call.errors) {
        SCOPED_TRACE(call.name + ", position " + std::to_string(position) + ", " + std::strerror(error));
        const Report report = run_child(scene, position, error);
        ++tries;
        check(report, without, call, error, expected_answer(call, error, scene.options.strict));
        ++answers[call.name][answer_to_fault(report, without)];
      }
    }
    std::printf("fault positions: %zu (%d tries)\n", without.calls.size(), tries);
    for (const auto& [name, kinds] : answers) {
      std::printf("  %s:", name.c_str());
      for (const auto& [kind, count] : kinds) std::printf(" %s %d", kind.c_str(), count);
      std::printf("\n");
    }
  }

  static void check(const Report& report, const Report& without, const Call& call, int error,
                    const std::string& expected) {
    const std::string answer = answer_to_fault(report, without);
    if (expected == "kept for the kernel") {
      EXPECT_EQ(answer, expected) << "the kernel may still write to the ring's buffers";
      return;
    }
    EXPECT_EQ(report.outcome.problems, std::vector<std::string>{});
    EXPECT_EQ(report.left, without.left) << "something was not given back";
    if (kOfFiles.contains(call.name) && !report.outcome.errors.empty()) {
      EXPECT_NE(report.outcome.errors.front().find(std::strerror(error)), std::string::npos)
          << report.outcome.errors.front();
    }
    if (!kSeveral.contains(call.name)) {
      EXPECT_EQ(answer, expected) << (report.outcome.errors.empty() ? "" : report.outcome.errors.front());
    }
  }
};

TEST_F(Faults, PoolWithRingsOnSmallPages) { try_all({options(Pages::small, 1u << 20), true}); }

TEST_F(Faults, PoolOnTransparentHugePages) { try_all({options(Pages::transparent, 2u << 20)}); }

TEST_F(Faults, PoolOnHugePages) { try_all({options(Pages::huge_2m, 2u << 20)}); }

TEST_F(Faults, PoolOnHugePagesBefore514) { try_all({options(Pages::huge_2m, 2u << 20), false, true}); }

TEST_F(Faults, StrictPool) {
  Options strict = options(Pages::small, 1u << 20);
  strict.strict = true;
  try_all({strict});
}

}  // namespace
}  // namespace weir
