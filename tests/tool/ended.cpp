// ended: pools, receivers, rings and threads that end, one at each line it is sent, after which it says what has ended.
// It ends at the end of its input.

#include <liburing.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/buffer_ring.h>
#include <weir/error.h>
#include <weir/pool.h>
#include <weir/receiver.h>

#include <array>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

std::unique_ptr<weir::Pool> make_pool(const std::string& name) {
  weir::Options options;
  options.name = name;
  options.bytes = 8 << 20;
  options.pages = weir::Pages::small;
  options.alerts = weir::Alerts::off;
  options.recv = weir::Strategy::epoll;
  return std::make_unique<weir::Pool>(options);
}

void lend(weir::Pool& pool, int count) {
  for (int i = 0; i < count; ++i) const weir::Loan loan = pool.lend(100);
}

/// A receiver on an epoll of its own.
class Receiving {
 public:
  explicit Receiving(weir::Pool& pool) : receiver_(pool, weir::Epoll{epoll_}) {}
  ~Receiving() { close(epoll_); }
  Receiving(const Receiving&) = delete;
  Receiving& operator=(const Receiving&) = delete;

  void receive(int count) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) return;
    weir::Inflow inflow;
    receiver_.start(inflow, ends[0]);
    int received = 0;
    while (received < count) {
      if (write(ends[1], "x", 1) != 1) return;
      receiver_.turn();
      epoll_event event{};
      if (epoll_wait(epoll_, &event, 1, -1) != 1 || !receiver_.owns(event)) continue;
      receiver_.complete(event, [&](weir::Inflow&, weir::Received what) { received += static_cast<bool>(what.data); });
    }
    receiver_.stop(inflow);
    for (const int end : ends) close(end);
  }

 private:
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  weir::Receiver receiver_;
};

/// Fills a ring and takes it away, where the kernel has such.
void fill_ring(weir::Pool& pool) {
  io_uring ring;
  if (io_uring_queue_init(8, &ring, 0) != 0) return;
  try {
    weir::BufferRing buffers(pool, ring, 64, 8, 4096);
    buffers.replenish();
  } catch (const weir::Error&) {
    std::cerr << "no buffer ring here\n";
  }
  io_uring_queue_exit(&ring);
}

/// Waits for a line. False at the end.
bool told(const char* what) {
  std::cout << what << std::endl;
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

}  // namespace

int main() {
  auto first = make_pool("same");
  auto second = make_pool("same");
  lend(*first, 1000);
  lend(*second, 300);
  auto one = std::make_unique<Receiving>(*first);
  auto other = std::make_unique<Receiving>(*first);
  one->receive(100);
  other->receive(30);
  const std::vector<std::pair<const char*, std::function<void()>>> ends{
      {"nothing", [] {}},
      {"a receiver", [&] { one.reset(); }},
      {"a receiver that went on", [&] { Receiving(*first).receive(3); }},
      {"all receivers", [&] { other.reset(); }},
      {"a thread", [&] { std::thread([&] { lend(*first, 500); }).join(); }},
      {"a ring", [&] { fill_ring(*first); }},
      {"a pool", [&] { second.reset(); }},
      {"a pool that went on", [&] { lend(*make_pool("same"), 7); }},
      {"many receivers",
       [&] {
         for (int i = 0; i < 300; ++i) std::thread([&] { Receiving(*first).receive(1); }).join();
       }},
      {"many pools",
       [&] {
         for (int i = 0; i < 40; ++i) lend(*make_pool("pool " + std::to_string(i)), 1);
       }},
      {"all pools", [&] { first.reset(); }},
  };
  for (const auto& [what, end] : ends) {
    end();
    if (!told(what)) break;
  }
}
