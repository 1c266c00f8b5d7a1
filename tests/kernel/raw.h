#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernel/ring.h"
#include "os/kernel_numbers.h"

// Raw requests on an io_uring and buffer rings made by hand, with nothing of weir's between.

namespace weir::testing {

struct Completion {
  std::uint64_t name = 0;
  int res = 0;
  unsigned flags = 0;

  bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
  bool has_buffer() const { return (flags & IORING_CQE_F_BUFFER) != 0; }
  bool keeps_buffer() const { return (flags & os::kernel::kCqeBufferMore) != 0; }
  std::uint16_t bid() const { return static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT); }
};

/// A provided buffer ring made by hand; bid N names the Nth of its buffers.
class RawGroup {
 public:
  RawGroup(Ring& ring, std::uint16_t bgid, unsigned entries, unsigned bytes, std::uint16_t flags = 0,
           std::uint16_t first_bid = 0)
      : ring_(ring), bgid_(bgid), entries_(entries), bytes_(bytes), first_bid_(first_bid), buffers_(entries * bytes) {
    const std::size_t page = 4096;
    memory_.reset(std::aligned_alloc(page, (entries * sizeof(io_uring_buf) + page - 1) / page * page));
    std::memset(memory_.get(), 0, entries * sizeof(io_uring_buf));
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(memory_.get());
    request.ring_entries = entries;
    request.bgid = bgid;
    std::memcpy(reinterpret_cast<std::byte*>(&request) + os::kernel::kBufferRingFlags, &flags, sizeof flags);
    error_ = io_uring_register_buf_ring(&ring.get(), &request, 0);
  }
  ~RawGroup() { unregister(); }
  RawGroup(const RawGroup&) = delete;
  RawGroup& operator=(const RawGroup&) = delete;

  int error() const { return error_; }
  std::uint16_t bgid() const { return bgid_; }
  bool owns(std::uint16_t bid) const { return bid >= first_bid_ && bid < first_bid_ + entries_; }
  io_uring_buf& entry(unsigned at) { return static_cast<io_uring_buf*>(memory_.get())[at % entries_]; }
  std::byte* buffer(std::uint16_t bid) { return buffers_.data() + std::size_t{bytes_} * (bid - first_bid_); }

  void provide(std::uint16_t bid) {
    io_uring_buf& slot = entry(tail_);
    slot.addr = reinterpret_cast<std::uintptr_t>(buffer(bid));
    slot.len = bytes_;
    slot.bid = bid;
    ++tail_;
    io_uring_smp_store_release(&static_cast<io_uring_buf_ring*>(memory_.get())->tail, tail_);
  }
  /// All of its buffers, ascending.
  void provide_all() {
    for (unsigned i = 0; i < entries_; ++i) provide(static_cast<std::uint16_t>(first_bid_ + i));
  }
  std::string text(std::uint16_t bid, std::size_t bytes, std::size_t from = 0) {
    return {reinterpret_cast<const char*>(buffer(bid) + from), bytes};
  }
  void unregister() {
    if (error_ == 0 && ring_.missing().empty()) io_uring_unregister_buf_ring(&ring_.get(), bgid_);
    error_ = -EBADF;
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  Ring& ring_;
  const std::uint16_t bgid_;
  const unsigned entries_;
  const unsigned bytes_;
  const std::uint16_t first_bid_;
  std::vector<std::byte> buffers_;
  std::unique_ptr<void, Free> memory_;
  std::uint16_t tail_ = 0;
  int error_ = 0;
};

/// The ways in which the engine waits for data.
enum class Way { into_buffer, select, multishot, poll };
inline constexpr std::array kReceives{Way::into_buffer, Way::select, Way::multishot};
inline constexpr std::array kWays{Way::into_buffer, Way::select, Way::multishot, Way::poll};

inline const char* name_of(Way way) {
  constexpr std::array names{"into_buffer", "select", "multishot", "poll"};
  return names.at(static_cast<std::size_t>(way));
}

/// Requests on an io_uring, and a connection for them.
class RawRing {
 public:
  static constexpr std::uint64_t kReceive = 1;
  static constexpr std::uint64_t kCancel = 2;
  static constexpr std::uint16_t kGroup = 64;
  static constexpr unsigned kBytes = 256;

  explicit RawRing(unsigned flags, unsigned entries = 32, unsigned completions = 0)
      : ring_(entries, flags, completions) {}

  std::string missing(Way way) {
    if (way == Way::multishot) return ring_.missing_multishot();
    return way == Way::select ? ring_.missing_buffer_rings() : ring_.missing();
  }

  template <typename Prep>
  io_uring_sqe& prepare(std::uint64_t name, Prep prep) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.get());
    if (sqe == nullptr) std::abort();
    prep(sqe);
    sqe->user_data = name;
    return *sqe;
  }
  io_uring_sqe& receive(Way way, std::uint64_t name = kReceive, int fd = -1, std::uint16_t group = kGroup) {
    if (fd < 0) fd = sockets_.near.get();
    return prepare(name, [&](io_uring_sqe* sqe) {
      if (way == Way::into_buffer) io_uring_prep_recv(sqe, fd, own_.data(), own_.size(), 0);
      if (way == Way::select) io_uring_prep_recv(sqe, fd, nullptr, 0, 0);
      if (way == Way::multishot) io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
      if (way == Way::poll) io_uring_prep_poll_add(sqe, fd, POLLIN);
      if (way == Way::select || way == Way::multishot) {
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = group;
      }
    });
  }
  void cancel(std::uint64_t name) {
    prepare(kCancel, [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, name, 0); });
  }
  void submit() { io_uring_submit(&ring_.get()); }

  void say(const std::string& text) { say(sockets_, text); }
  static void say(const SocketPair& sockets, const std::string& text) {
    ASSERT_EQ(send(sockets.far.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// What is still in the socket.
  std::string rest() {
    std::string text(65536, '\0');
    const ssize_t got = recv(sockets_.near.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  static void finish(const SocketPair& sockets) { shutdown(sockets.far.get(), SHUT_WR); }

  /// Submits, and waits for the next completion.
  Completion next() {
    submit();
    for (int tries = 0; tries < 50; ++tries) {
      Completion completion;
      io_uring_get_events(&ring_.get());
      if (peek(completion)) return completion;
      pollfd ready{.fd = ring_.get().ring_fd, .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, 100);
    }
    ADD_FAILURE() << "no completion comes";
    return {};
  }
  /// Submits, and takes the completions that are there.
  std::vector<Completion> all() {
    submit();
    io_uring_get_events(&ring_.get());
    std::vector<Completion> seen;
    for (Completion completion; peek(completion);) seen.push_back(completion);
    return seen;
  }

  bool peek(Completion& completion) {
    io_uring_cqe* cqe = nullptr;
    if (io_uring_peek_cqe(&ring_.get(), &cqe) != 0) return false;
    completion = {cqe->user_data, cqe->res, cqe->flags};
    io_uring_cqe_seen(&ring_.get(), cqe);
    return true;
  }

  Ring ring_;
  SocketPair sockets_ = SocketPair::local();
  std::array<std::byte, kBytes> own_{};
};

}  // namespace weir::testing
