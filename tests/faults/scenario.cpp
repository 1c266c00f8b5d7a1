#include "faults/scenario.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <weir/buffer_ring.h>
#include <weir/error.h>
#include <weir/pool.h>
#include <weir/receiver.h>
#include <weir/registered.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "kernel/ring.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

namespace weir::testing {
namespace {

constexpr std::uint32_t kReceived = 16384;
constexpr std::size_t kMessage = 100;

std::string text_of(const Grade& grade) {
  const std::string got = std::string(grade.huge_tlb ? " hugetlb" : "") + (grade.populated ? " populated" : "") +
                          (grade.locked ? " locked" : "") + (grade.bound ? " bound" : "");
  return std::to_string(grade.page_bytes) + got + ": " + grade.reason;
}

/// Whether the process may write at the address, by the kernel's word.
bool is_writable(const std::byte* address) {
  std::ifstream maps("/proc/self/maps");
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char right = '-';
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " r%c", &from, &to, &right) >= 2 && from <= at && at < to)
      return right == 'w';
  }
  return false;
}

class Scenario {
 public:
  explicit Scenario(bool with_rings) : with_rings_(with_rings) {}

  void play(const Options& options) {
    attempt([&] {
      Pool pool(options);
      note_grades(pool, options);
      lend(pool);
      std::thread([&] { lend(pool); }).join();
      grow_and_trim(pool, options);
      if (with_rings_) use_rings(pool);
      pool.flush();
      expect(pool.check_all().empty(), pool.check_all());
      expect(pool.counts().user == 0 && pool.counts().kernel_ring == 0, "a buffer did not come home");
    });
  }

  Outcome outcome;

 private:
  void expect(bool holds, const std::string& problem) {
    if (!holds) outcome.problems.push_back(problem);
  }

  /// False when it threw an Error, which is noted. Nothing else may be thrown.
  bool attempt(const std::function<void()>& what) {
    try {
      what();
      return true;
    } catch (const Error& error) {
      outcome.errors.emplace_back(error.what());
      expect(error.code().value() > 0, std::string("an error without an errno: ") + error.what());
    } catch (const std::exception& error) {
      outcome.problems.push_back(std::string("thrown, but no weir::Error: ") + error.what());
    }
    return false;
  }

  void note_grades(const Pool& pool, const Options& options) {
    for (const Grade& grade : pool.grades()) {
      const bool all = grade.locked && grade.bound && (options.pages == Pages::small || grade.page_bytes > 4096);
      outcome.grades.push_back(text_of(grade));
      expect(all || !grade.reason.empty(), "a lesser grade without its reason: " + text_of(grade));
      expect(grade.populated, "an arena without pages: " + text_of(grade));
    }
  }

  void lend(Pool& pool) {
    for (const std::size_t bytes : {512, 512, 4096, 65536}) {
      const Loan loan = pool.lend(bytes);
      expect(bool(loan), "nothing to lend");
      mark(loan, 1);
    }
    const Loan page = pool.lend_pages(4096);
    expect(bool(page), "no pages to lend");
    mark(page, 2);
  }

  void grow_and_trim(Pool& pool, const Options& options) {
    const Counts before = pool.counts();
    if (attempt([&] { pool.reserve(options.bytes); })) note_grades(pool, options);
    {
      const std::vector<Loan> loans = lend_all(pool, 65536);
      expect(loans.size() >= options.bytes / 65536 / 2, "the pool lends less than it has");
      for (const Loan& loan : loans) mark(loan, 3);
    }
    trim(pool);
    expect(pool.counts().user == before.user, "growing and trimming lost a buffer");
    if (attempt([&] { pool.reserve(options.bytes); })) note_grades(pool, options);
  }

  /// What is said to be trimmed, and nothing else, is not mapped any more.
  void trim(Pool& pool) {
    std::map<const std::byte*, std::size_t> gone;
    for (const detail::Arena& arena : pool.state().arenas()) gone[arena.base] = arena.grade.bytes;
    const std::size_t trimmed = pool.trim();
    for (const detail::Arena& arena : pool.state().arenas()) {
      expect(is_writable(arena.base), "an arena of the pool is not mapped");
      gone.erase(arena.base);
    }
    std::size_t bytes = 0;
    for (const auto& [base, size] : gone) {
      expect(!is_writable(base), "an arena that was trimmed is still mapped");
      bytes += size;
    }
    expect(bytes == trimmed, "trim() does not say what it did");
  }

  void use_rings(Pool& pool) {
    Ring ring;
    if (!ring.missing_multishot().empty()) return;
    attempt([&] {
      BufferRing buffers(pool, ring.get(), 64, 8, 4096);
      expect(buffers.replenish() == 8, "the buffer ring is not full");
    });
    attempt([&] {
      RegisteredPool registered(pool, ring.get());
      const Loan loan = pool.lend(512);
      expect(registered.index(loan) <= pool.grades().size(), "an index of no arena");
      pool.trim();
      pool.reserve(1u << 20);
      note_grades(pool, pool.options());
      registered.refresh();
      expect(registered.index(loan) <= pool.grades().size(), "an index of no arena");
    });
    attempt([&] { receive_on_ring(pool, Strategy::ring); });  // another would do without the probe
    if (has_incremental()) attempt([&] { receive_on_ring(pool, Strategy::ring_incremental); });
    attempt([&] { receive_on_epoll(pool); });
  }

  /// Linux 6.12, else the scene is without it.
  static bool has_incremental() {
    std::ifstream version("/proc/sys/kernel/osrelease");
    int major = 0;
    int minor = 0;
    char dot = '.';
    version >> major >> dot >> minor;
    return major > 6 || (major == 6 && minor >= 12);
  }

  void receive_on_ring(Pool& pool, Strategy strategy) {
    Ring ring;
    Receiver receiver(pool, ring.get());
    receive(pool, receiver, strategy, [&] {
      turn(receiver, ring);
      __kernel_timespec time{.tv_sec = 0, .tv_nsec = 100'000'000};
      io_uring_cqe* cqe = nullptr;
      io_uring_wait_cqes(&ring.get(), &cqe, 1, &time, nullptr);
      while (io_uring_peek_cqe(&ring.get(), &cqe) == 0) {
        receiver.complete(*cqe, [&](Inflow&, const Received& what) { take(what); });
        io_uring_cqe_seen(&ring.get(), cqe);
      }
    });
  }

  void receive_on_epoll(Pool& pool) {
    const File epoll(epoll_create1(EPOLL_CLOEXEC));
    Receiver receiver(pool, Epoll{epoll.get()});
    receive(pool, receiver, Strategy::epoll, [&] {
      while (receiver.turn()) continue;
      epoll_event event{};
      if (epoll_wait(epoll.get(), &event, 1, 100) == 1)
        receiver.complete(event, [&](Inflow&, const Received& what) { take(what); });
    });
  }

  void take(const Received& what) {
    received_ += what.data.size();
    if (what.closed()) ended_ = what.error;
  }

  /// A message that finds every buffer lent: its connection waits until another thread drops one.
  void receive(Pool& pool, Receiver& receiver, Strategy strategy, const std::function<void()>& step) {
    received_ = 0;
    ended_ = 0;
    std::vector<Loan> all;
    for (const std::uint32_t bytes : {65536U, kReceived, 4096U, 512U}) {
      for (Loan& loan : lend_all(pool, bytes)) all.push_back(std::move(loan));
    }
    const SocketPair sockets = SocketPair::local();
    Inflow inflow;
    receiver.start(inflow, sockets.near.get(), strategy);
    const std::string message(kMessage, 'm');
    expect(send(sockets.far.get(), message.data(), kMessage, 0) == kMessage, "the message is not sent");
    run(step, [&] { return receiver.parked() == 1 || ended_ != 0; });
    std::thread([&] { all.clear(); }).join();
    run(step, [&] { return received_ == kMessage || ended_ != 0; });
    receiver.stop_all();
    run(step, [&] { return !receiver.has_inflight(); });
    if (ended_ != 0) throw Error(ended_, "the connection has ended");
  }

  void turn(Receiver& receiver, Ring& ring) {
    while (receiver.turn()) io_uring_submit(&ring.get());
    io_uring_submit(&ring.get());
  }

  /// Turns, waits and completes until it is done.
  void run(const std::function<void()>& step, const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < end) step();
    expect(done(), "the receiver is stuck");
  }

  const bool with_rings_;
  std::size_t received_ = 0;
  int ended_ = 0;
};

}  // namespace

Outcome play(const Options& options, bool with_rings) {
  Scenario scenario(with_rings);
  scenario.play(options);
  return std::move(scenario.outcome);
}

}  // namespace weir::testing
