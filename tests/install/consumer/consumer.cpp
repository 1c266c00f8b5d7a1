#include <weir/buffer_ring.h>
#include <weir/error.h>
#include <weir/loan.h>
#include <weir/options.h>
#include <weir/pool.h>
#include <weir/receiver.h>
#include <weir/registered.h>

#include <cstdio>

// Uses something of every header, so that all of the library is linked.
int main() {
  weir::Options options;
  options.bytes = 4 << 20;
  options.pages = weir::Pages::small;
  weir::Pool pool(options);
  const weir::Loan loan = pool.lend(3000);
  if (loan.size() != 4096 || pool.counts().user != 1 || !pool.check_all().empty()) return 1;
  io_uring ring{};
  if (io_uring_queue_init(8, &ring, 0) != 0) {
    std::puts("io_uring is refused here: only the pool was tried");
    return 0;
  }
  try {
    const weir::BufferRing buffers(pool, ring, 100, 8, 512);
    const weir::Receiver receiver(pool, ring);
    const weir::RegisteredPool registered(pool, ring);
    std::printf("index %d\n", registered.index(loan).value_or(0));
  } catch (const weir::Error& error) {
    std::puts(error.what());  // an old kernel or a low limit: said, and no fault of the library's build
  }
  io_uring_queue_exit(&ring);
  return 0;
}
