#include "streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <mutex>

namespace weir::common {
namespace {

bool sigpipe_was_ignored = false;
std::atomic<unsigned long> lost_lines{0};

bool is_closed(int fd) { return fcntl(fd, F_GETFD) == -1 && errno == EBADF; }

/// Who reads or writes it gets an error, as if it were closed still: so nobody believes that output has arrived.
void occupy(int fd) {
  const int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
  if (is_closed(fd)) (void)open("/dev/null", mode);  // takes the lowest number that is free, which is this one
}

/// False when a write would wait for longer than that.
bool has_room(std::chrono::milliseconds patience) {
  pollfd place{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return poll(&place, 1, static_cast<int>(patience.count())) != 0;
}

mode_t kind_of_stderr() {
  struct stat about {};
  return fstat(STDERR_FILENO, &about) == 0 ? about.st_mode & S_IFMT : 0;
}

/// Where no file can be opened. A kernel that cannot write to a pipe without waiting says so: it had room just now.
ssize_t write_without_waiting(const std::string& text) {
  const iovec piece{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  const ssize_t written = pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT);
  if (written >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)) return written;
  return write(STDERR_FILENO, text.data(), text.size());
}

/// By an open file of our own: that a write does not wait is a property of it, and others may use the program's.
ssize_t write_to_pipe(const std::string& text) {
  const int own = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (own < 0) return write_without_waiting(text);
  const ssize_t written = write(own, text.data(), text.size());
  const int error = errno;
  close(own);
  errno = error;
  return written;
}

/// Others may write to the same pipe or socket, so the room that was seen can be gone again. False when the text was
/// lost, though somebody might read it.
bool write_now(const std::string& text) {
  const mode_t kind = kind_of_stderr();
  if (kind == S_IFIFO) return write_to_pipe(text) >= 0;
  if (kind == S_IFSOCK) return send(STDERR_FILENO, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  return write(STDERR_FILENO, text.data(), text.size()) >= 0;
}

/// A pipe with room for anything has room for so much.
std::string short_line(std::string line) {
  if (line.size() >= PIPE_BUF) line.replace(PIPE_BUF - 4, std::string::npos, "...");
  return line + "\n";
}

std::string told_lost(unsigned long lost) {
  return lost == 0 ? "" : " (and " + std::to_string(lost) + " lines before it, which nobody took)";
}

}  // namespace

void prepare_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) occupy(fd);
  sigpipe_was_ignored = std::signal(SIGPIPE, SIG_IGN) == SIG_IGN;
}

void write_line(const std::string& line, std::chrono::milliseconds patience) {
  static std::mutex one_at_a_time;
  const bool had_room = has_room(patience);
  const std::lock_guard lock(one_at_a_time);
  const unsigned long lost = lost_lines;
  const bool written = had_room && has_room({}) && write_now(short_line(line + told_lost(lost)));
  lost_lines = written ? 0 : lost + 1;
}

void write_passing(const std::string& text) {
  if (has_room({})) (void)write_now(text);
}

int end_output(const std::string& program, int status) {
  const bool arrived = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.flush();
  return arrived ? status : output_failed(program);
}

int output_failed(const std::string& program) {
  const int error = errno;
  if (error == EPIPE && !sigpipe_was_ignored) {
    std::signal(SIGPIPE, SIG_DFL);
    (void)std::raise(SIGPIPE);
  }
  write_line(program + ": cannot write: " + (error == 0 ? "the output took no more" : std::strerror(error)),
             kLastPatience);
  return 1;
}

}  // namespace weir::common
