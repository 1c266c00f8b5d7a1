#include <sys/socket.h>
#include <unistd.h>
#include <weir/alerts.h>
#include <weir/buffer_ring.h>
#include <weir/coroutine.h>
#include <weir/error.h>
#include <weir/loan.h>
#include <weir/options.h>
#include <weir/pool.h>
#include <weir/receiver.h>
#include <weir/registered.h>
#include <weir/strategy.h>
#include <weir/trace.h>

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>
#include <version>

// libc++ has none before its version 16.
#if __has_include(<memory_resource>)
#include <weir/memory_resource.h>

#include <vector>
#endif

// Uses something of every header, so that all of the library is linked.

namespace {

bool use_pool(weir::Pool& pool) {
  const weir::BorrowerTag tag("consumer");
  std::array<weir::Loan, 4> loans;
  const weir::Loan loan = pool.lend(3000);
  if (loan.size() != 4096 || loan.capacity() != 4096 || pool.counts().user != 1) return false;
  if (pool.lane(512).lend_many(loans) != loans.size()) return false;
  weir::drop_many(loans);
  return pool.check_all().empty();
}

bool use_resource([[maybe_unused]] weir::Pool& pool) {
#if __has_include(<memory_resource>)
  weir::PoolResource resource(pool);
  const std::pmr::vector<int> numbers(100, 42, &resource);
  return numbers.back() == 42 && pool.counts().user == 1;
#else
  return true;
#endif
}

bool use_names() {
  const weir::Strategy first = weir::strategies().front();
  return weir::strategy_named(weir::name_of(first)) == first && weir::name_of(weir::AlertKind::degraded) != nullptr;
}

/// What the library throws is caught as what it is, in another library too.
bool use_error() {
  weir::Options options;
  options.classes = {3};
  try {
    const weir::Pool pool(options);
  } catch (const weir::Error& error) {
    return error.what() != nullptr;
  }
  return false;
}

struct Task {
  struct promise_type {
    static Task get_return_object() { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() {}
    static void unhandled_exception() { std::terminate(); }
  };
};

Task receive(weir::AwaitedInflow& inflow, std::size_t& bytes) {
  const weir::Received what = co_await inflow.receive();
  bytes = what.data.size();
}

bool use_receiver(weir::Pool& pool, io_uring& ring) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0 || write(ends[1], "hello", 5) != 5) return false;
  std::size_t bytes = 0;
  weir::Receiver receiver(pool, ring);
  {
    weir::AwaitedInflow inflow(receiver, ends[0]);
    receive(inflow, bytes);
    for (bool ended = false; !ended || receiver.has_inflight();) {
      const bool more = receiver.turn();
      more ? io_uring_submit(&ring) : io_uring_submit_and_wait(&ring, 1);
      for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&ring, &cqe) == 0; io_uring_cqe_seen(&ring, cqe)) {
        receiver.complete(*cqe, [](weir::Inflow& of, weir::Received what) {
          if (weir::is_awaited(of)) weir::resume_awaiting(of, std::move(what));
        });
      }
      if (bytes != 0 && !std::exchange(ended, true)) {
        inflow.stop();
        receiver.stop_all();
      }
    }
  }
  close(ends[0]);
  close(ends[1]);
  return bytes == 5;
}

bool use_ring(weir::Pool& pool, io_uring& ring) {
  try {
    const weir::BufferRing buffers(pool, ring, 100, 8, 512);
    const weir::RegisteredPool registered(pool, ring);
    std::printf("index %d\n", registered.index(pool.lend(512)).value_or(0));
    return use_receiver(pool, ring);
  } catch (const weir::Error& error) {
    std::puts(error.what());  // an old kernel or a low limit: said, and no fault of the library's build
    return true;
  }
}

}  // namespace

int main() {
  weir::Options options;
  options.bytes = 4 << 20;
  options.pages = weir::Pages::small;
  options.on_alert = [](const weir::Alert&) {};
  weir::Pool pool(options);
  if (!use_pool(pool) || !use_resource(pool) || !use_names() || !use_error()) return 1;
  io_uring ring{};
  if (io_uring_queue_init(8, &ring, 0) != 0) {
    std::puts("io_uring is refused here: only the pool was tried");
    return 0;
  }
  const bool worked = use_ring(pool, ring);
  io_uring_queue_exit(&ring);
  return worked ? 0 : 1;
}
