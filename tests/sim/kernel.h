#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sim/buffer_group.h"
#include "sim/epoll.h"
#include "sim/files.h"
#include "sim/personality.h"
#include "sim/queues.h"
#include "sim/random.h"

namespace weir::sim {

/// What the kernel has been asked for and has not answered for good.
struct Request {
  enum class Ending : std::uint8_t { none, cancelled, slow };  ///< slow: a cancel found it running

  std::uint64_t user_data = 0;
  bool poll = false;
  bool multishot = false;
  bool bundle = false;
  std::optional<std::uint16_t> group{};  ///< that its buffers are picked from
  std::span<std::byte> buffer{};         ///< of its own; with a group, the most that each receive takes
  std::shared_ptr<File> file{};
  Ending ending = Ending::none;
  bool hides_end = false;  ///< it tells of the data that is there, and then of nothing

  bool has_buffer() const { return !poll && !group; }
};

/// A stand-in for the kernel: one io_uring, sockets and events, and a clock, all of which move only when they are told
/// to. Whatever the kernel leaves open (which of two comes first, how much at once, how late) is left to chance.
class Kernel {
 public:
  struct Shape {
    unsigned submissions;
    unsigned completions;
    unsigned flags;
  };
  using Time = std::chrono::steady_clock::time_point;

  Kernel(Random& random, const Personality& personality, Shape shape);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  /// The one that there is. What stands for the system calls uses it.
  static Kernel& current();

  const Personality& personality() const { return personality_; }
  Queues& queues() { return queues_; }
  Epoll& epoll() { return epoll_; }
  Time now() const { return now_; }
  void pass(Time::duration time) { now_ += time; }

  int open(std::shared_ptr<File> file) { return files_.open(std::move(file)); }
  std::shared_ptr<File> at(int fd) const { return files_.at(fd); }
  /// Requests go on having the file.
  void close(int fd);
  /// As recv() and with MSG_PEEK, without waiting.
  int receive(int fd, std::span<std::byte> room);
  int peek(int fd) const;
  bool is_readable(int fd) const;

  /// As io_uring_enter(): takes what was prepared.
  void submit();
  /// Submits, does some of what is due, and shows the completions that were kept back.
  void enter();
  /// Does one thing of those that are due. False when there is none.
  bool run_once();
  /// Where nothing is deferred, what is due happens at any time: perhaps now.
  void run_unasked();
  bool has_work() const;

  int register_group(void* memory, unsigned entries, std::uint16_t id, bool incremental);
  int unregister_group(std::uint16_t id);
  /// Buffers that were partly used when their group was unregistered, since the last time.
  std::vector<Range> take_unfinished() { return std::exchange(unfinished_, {}); }

  const std::vector<Request>& requests() const { return requests_; }
  const std::vector<BufferGroup>& groups() const { return groups_; }

 private:
  void accept(const io_uring_sqe& sqe);
  void accept_receive(const io_uring_sqe& sqe);
  void accept_poll(const io_uring_sqe& sqe);
  void accept_cancel(const io_uring_sqe& sqe);
  Request request_of(const io_uring_sqe& sqe);

  /// Each is true when the request has ended, with its last completion posted.
  bool proceed(Request& request);
  bool proceed_poll(Request& request);
  bool proceed_receive(Request& request);
  bool receive_selected(Request& request);
  bool tell_data(Request& request, Completion completion, bool last);
  bool end(Request& request, int result);

  int breaks_off(const Request& request);
  bool is_due(const Request& request) const;
  static bool says_something(const Request& request);
  void remove(std::size_t index);
  BufferGroup* group_of(const Request& request);
  std::size_t short_of(std::size_t bytes);

  Random& random_;
  const Personality& personality_;
  Queues queues_;
  FileTable files_;
  Epoll epoll_;
  std::vector<Request> requests_;
  std::vector<BufferGroup> groups_;
  std::vector<Range> unfinished_;
  Time now_{std::chrono::hours(1)};
};

}  // namespace weir::sim
