#include <unistd.h>

#include <coroutine>
#include <cstdio>
#include <exception>
#include <string>

// Runs the sample of docs/receiving.md: what is sent to it comes back.

bool ended = false;

struct Job {
  // NOLINTNEXTLINE(readability-identifier-naming): the language's name
  struct promise_type {
    Job get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() { ended = true; }
    void unhandled_exception() { std::terminate(); }
  };
};

#include "receiving_sample.cpp"

int main() {
  weir::Options options;
  options.pages = weir::Pages::small;
  options.recv = weir::Strategy::epoll;
  weir::Pool pool(options);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  int ends[2];
  if (epoll < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  const std::string text(100'000, 'w');
  if (send(ends[1], text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return 1;
  shutdown(ends[1], SHUT_WR);
  {
    weir::Receiver receiver{pool, weir::Epoll{epoll}};
    echo(receiver, ends[0]);
    serve(receiver, epoll, ended);
  }
  std::string back(text.size() + 1, '\0');
  const bool same =
      recv(ends[1], back.data(), back.size(), MSG_WAITALL | MSG_DONTWAIT) == static_cast<ssize_t>(text.size()) &&
      back.compare(0, text.size(), text) == 0;
  for (const int fd : {ends[0], ends[1], epoll}) close(fd);
  std::puts(same ? "all came back" : "not all came back");
  return same && pool.counts().user == 0 && pool.check_all().empty() ? 0 : 1;
}
