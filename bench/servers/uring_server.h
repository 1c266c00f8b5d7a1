#pragma once

#include <liburing.h>

#include <cstdint>

#include "kinds.h"
#include "server/listener.h"
#include "server/uring.h"

namespace bench {

/// A connection to an io_uring server.
struct alignas(8) UringClient {
  explicit UringClient(weir::server::Fd file) : socket(std::move(file)) {}
  int fd() const { return socket.get(); }

  weir::server::Fd socket;
};

/// What a completion is of.
enum class Operation : std::uint8_t { accept, poll, receive, send, cancel };

/// An io_uring that accepts connections; what becomes of them is the kind's.
class UringServer {
 public:
  explicit UringServer(int listener) : listener_(listener) {}
  virtual ~UringServer() = default;
  UringServer(const UringServer&) = delete;
  UringServer& operator=(const UringServer&) = delete;

  [[noreturn]] void run();

 protected:
  virtual void on_accepted(weir::server::Fd file) = 0;
  virtual void on_ended(Operation operation, UringClient& client, const io_uring_cqe& cqe) = 0;
  /// All completions that there were have been told.
  virtual void on_all_told() {}

  io_uring& ring() { return ring_.get(); }
  /// A place on the submission queue, which is submitted first when it is full. The prep sets all but the user data.
  io_uring_sqe* request(Operation operation, UringClient* client);

  static std::uint64_t name_of(Operation operation, const UringClient* client);

 private:
  void accept();
  void handle(const io_uring_cqe& cqe);

  weir::server::Ring ring_;
  const int listener_;
};

}  // namespace bench
