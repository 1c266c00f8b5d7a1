#include "readme_sample.cpp"

#include <unistd.h>

#include <cstdio>
#include <string>

// Runs the sample of README.md: what is sent to it comes back.

int main() {
  weir::Options options;
  options.pages = weir::Pages::small;
  weir::Pool pool(options);
  if (!stamp(pool)) return 1;
  io_uring ring{};
  if (io_uring_queue_init(64, &ring, 0) != 0) {
    std::puts("io_uring is refused here: only the pool was tried");
    return 0;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  const std::string text(100'000, 'w');
  if (send(ends[1], text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return 1;
  shutdown(ends[1], SHUT_WR);
  serve(ring, pool, ends[0]);
  std::string back(text.size() + 1, '\0');
  const bool same =
      recv(ends[1], back.data(), back.size(), MSG_WAITALL | MSG_DONTWAIT) == static_cast<ssize_t>(text.size()) &&
      back.compare(0, text.size(), text) == 0;
  close(ends[0]);
  close(ends[1]);
  io_uring_queue_exit(&ring);
  std::puts(same ? "all came back" : "not all came back");
  return same && pool.counts().user == 0 && pool.check_all().empty() ? 0 : 1;
}
