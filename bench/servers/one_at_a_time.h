#pragma once

#include <cstddef>
#include <memory>

#include "uring_server.h"

namespace bench {

/// A connection that either waits, or receives, or sends.
struct TurnClient : UringClient {
  using UringClient::UringClient;

  std::unique_ptr<std::byte[]> buffer;
  std::size_t filled = 0;
  std::size_t sent = 0;
  bool has_more = false;  ///< it left something in the socket
};

/// Connections with one request at a time, each into a buffer of 16 KiB: whatever fails, nothing else is in flight.
class OneAtATime : public UringServer {
 public:
  using UringServer::UringServer;

 protected:
  /// Nothing is known to have arrived.
  virtual void await(TurnClient& client) = 0;
  /// Into the client's buffer, which it gets when it has none.
  io_uring_sqe* receive(TurnClient& client);

 private:
  void on_accepted(weir::server::Fd file) final;
  void on_ended(Operation operation, UringClient& client, const io_uring_cqe& cqe) final;
  void on_sent(TurnClient& client, std::size_t bytes);
  void send(TurnClient& client);
};

}  // namespace bench
