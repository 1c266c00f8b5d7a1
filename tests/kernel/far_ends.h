#pragma once

#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "kernel/sockets.h"

namespace weir::testing {

/// Connections whose far ends a process of their own has, so that there may be as many as a process may have open
/// files. REQUIRES: this process has no other thread when they are made.
class FarEnds {
 public:
  /// `say(far, i)` is called there for each of them by speak_all().
  FarEnds(std::size_t count, const std::function<void(int far, std::size_t i)>& say) {
    control_ = SocketPair::local();
    child_ = fork();
    if (child_ < 0) std::abort();
    if (child_ == 0) {
      control_.near.reset();
      serve(control_.far.get(), count, say);
      std::_Exit(0);
    }
    control_.far.reset();
    while (near_.size() < count) receive_files();
  }
  ~FarEnds() {
    control_.near.reset();
    waitpid(child_, nullptr, 0);
  }
  FarEnds(const FarEnds&) = delete;
  FarEnds& operator=(const FarEnds&) = delete;

  /// The ends on this side.
  std::vector<File>& near() { return near_; }
  /// Returns when all of them have spoken.
  void speak_all() {
    char byte = 's';
    if (send(control_.near.get(), &byte, 1, MSG_NOSIGNAL) != 1) std::abort();
    if (recv(control_.near.get(), &byte, 1, 0) != 1) std::abort();
  }

 private:
  static constexpr std::size_t kBatch = 200;  // the kernel passes 253 files at once

  struct Passing {
    explicit Passing(std::size_t files = kBatch) {
      message.msg_iov = &text;
      message.msg_iovlen = 1;
      message.msg_control = space.data();
      message.msg_controllen = CMSG_SPACE(files * sizeof(int));
    }
    char byte = 'f';
    iovec text{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kBatch * sizeof(int))> space{};
    msghdr message{};
  };

  static void serve(int control, std::size_t count, const std::function<void(int, std::size_t)>& say) {
    std::vector<File> far;
    while (far.size() < count) send_files(control, std::min(kBatch, count - far.size()), far);
    for (char byte = 0; recv(control, &byte, 1, 0) == 1;) {
      for (std::size_t i = 0; i < far.size(); ++i) say(far[i].get(), i);
      send(control, &byte, 1, MSG_NOSIGNAL);
    }
  }
  static void send_files(int control, std::size_t count, std::vector<File>& far) {
    std::vector<File> near;
    std::array<int, kBatch> numbers{};
    for (std::size_t i = 0; i < count; ++i) {
      SocketPair pair = SocketPair::local();
      numbers.at(i) = pair.near.get();
      near.push_back(std::move(pair.near));
      far.push_back(std::move(pair.far));
    }
    Passing passing(count);
    cmsghdr* header = CMSG_FIRSTHDR(&passing.message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), numbers.data(), count * sizeof(int));
    if (sendmsg(control, &passing.message, MSG_NOSIGNAL) != 1) std::_Exit(1);
  }
  void receive_files() {
    Passing passing;
    if (recvmsg(control_.near.get(), &passing.message, MSG_CMSG_CLOEXEC) != 1) std::abort();
    const cmsghdr* header = CMSG_FIRSTHDR(&passing.message);
    if (header == nullptr || (passing.message.msg_flags & MSG_CTRUNC) != 0) std::abort();
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof number);
      near_.emplace_back(number);
    }
  }

  SocketPair control_;
  pid_t child_ = -1;
  std::vector<File> near_;
};

}  // namespace weir::testing
