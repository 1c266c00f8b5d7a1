#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "uring_server.h"

namespace bench {

/// Received bytes on their way out, in a buffer of the ring.
struct Piece {
  std::byte* data;
  std::size_t bytes;
  std::uint16_t buffer;
};

/// A connection with one multishot receive. Whatever waits to be sent leaves by one send.
struct RingClient : UringClient {
  using UringClient::UringClient;

  bool is_done() const { return ended && !armed && !parked && !listed && !sending; }
  bool is_full() const { return outbox.size() >= kMostQueued; }

  static constexpr std::size_t kMostQueued = 32;  ///< before it is received no more
  std::vector<Piece> outbox;
  std::vector<iovec> vectors;  ///< of the send
  msghdr message{};
  bool armed = false;
  bool cancelled = false;  ///< armed, but not for long
  bool parked = false;     ///< waits for a buffer of the ring
  bool sending = false;
  bool listed = false;  ///< is to send
  bool ended = false;   ///< nothing more comes in
};

/// Multishot receives from one ring of provided buffers. A kind says how buffers are shared out.
class RingServer : public UringServer {
 protected:
  /// Throws weir::Error. `flags` are those of the registration of a ring.
  RingServer(const Task& task, std::size_t buffer_bytes, std::uint16_t flags);
  ~RingServer() override;

  /// Of a completion that brought bytes: where they are.
  virtual Piece claim(const io_uring_cqe& cqe) = 0;
  /// A piece has left.
  virtual void drop(const Piece& piece) = 0;
  /// Of those who wait for a buffer, so many can be served.
  virtual std::size_t room() const { return provided_; }

  std::byte* buffer(std::uint16_t number) const { return memory_.get() + number * buffer_bytes_; }
  std::size_t buffers() const { return buffers_; }
  void note_taken() { --provided_; }
  void give_back(std::uint16_t number);

 private:
  void on_accepted(weir::server::Fd file) final;
  void on_ended(Operation operation, UringClient& client, const io_uring_cqe& cqe) final;
  void on_all_told() final;

  void on_received(RingClient& client, const io_uring_cqe& cqe);
  void on_sent(RingClient& client, int result);
  void arm(RingClient& client);
  void cancel(RingClient& client);
  void park(RingClient& client);
  void go_on(RingClient& client);
  void list(RingClient& client);
  void send(RingClient& client);
  void drop_sent(RingClient& client, std::size_t bytes);
  void drop_all(RingClient& client);

  std::size_t buffer_bytes_;
  std::size_t buffers_;
  std::unique_ptr<std::byte[]> memory_;
  io_uring_buf_ring* entries_ = nullptr;
  std::size_t entries_bytes_;
  std::size_t provided_ = 0;      ///< buffers that the kernel has, as far as is known
  unsigned short not_shown_ = 0;  ///< given back, which the kernel is told of all at once
  std::deque<RingClient*> parked_;
  std::vector<RingClient*> to_send_;
};

}  // namespace bench
