// A program under ThreadSanitizer, of a library that is compiled without it: buffers pass from thread to thread by way
// of the pool alone, and each thread writes all of each. It ends with 66 when a race is reported.

#include <weir/pool.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

weir::Options options() {
  weir::Options options;
  options.bytes = 4 << 20;
  options.pages = weir::Pages::small;
  options.alerts = weir::Alerts::off;
  options.classes = {4096, 65536};
  options.receive_bytes = 4096;
  return options;
}

void write_all(const weir::Loan& loan, int what) {
  std::fill(loan.bytes().begin(), loan.bytes().end(), static_cast<std::byte>(what));
}

/// So many that magazines fill up and run dry, and that some are lent past them.
void use(weir::Pool& pool, int what) {
  for (int round = 0; round < 20; ++round) {
    std::vector<weir::Loan> loans;
    for (int i = 0; i < 60; ++i) {
      loans.push_back(pool.lend(i % 10 == 0 ? 65536 : 4096));
      if (loans.back()) write_all(loans.back(), what + round + i);
    }
    std::vector<weir::Loan> many(40);
    const std::size_t lent = pool.lend_many(4096, many);
    for (std::size_t i = 0; i < lent; ++i) write_all(many[i], what);
    weir::drop_many(many);
  }
  pool.flush();
}

void use_side_by_side(weir::Pool& pool) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&pool, i] { use(pool, i); });
  for (std::thread& thread : threads) thread.join();
}

void pass_on(weir::Pool& pool) {
  std::vector<weir::Loan> loans;
  for (int i = 0; i < 200; ++i) loans.push_back(pool.lend(4096));
  for (const weir::Loan& loan : loans) write_all(loan, 1);
  std::thread([mine = std::move(loans)]() mutable { mine.clear(); }).join();
}

}  // namespace

int main() {
  weir::Pool pool(options());
  use_side_by_side(pool);
  pass_on(pool);
  use_side_by_side(pool);  // in places of threads that have ended
  std::puts("no race");
}
