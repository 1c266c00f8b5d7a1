#pragma once

#include <vector>

#include "receive/requests.h"

namespace weir::detail {

/// Requests on an epoll: a file that is registered while somebody wants its data. It stays so from one request to the
/// next, which saves two system calls a message, so that it may be told of data that nobody waits for, and then has to
/// cancel.
class EpollRequests final : public Requests {
 public:
  EpollRequests(int epoll, std::uint16_t number) : Requests(number), epoll_(epoll) {}

  void make_room(std::size_t connections) override { registered_.resize(connections); }
  int receive_from_ring(Name name, int fd, FromRing how) noexcept override;
  /// A poll: who knows the buffer receives then.
  int receive_into(Name name, int fd, std::span<std::byte> buffer, bool at_once) noexcept override;
  int poll(Name name, int fd) noexcept override;
  /// It has ended then.
  int cancel(Name name, int fd) noexcept override;
  bool cancels_at_once() const noexcept override { return true; }

 private:
  std::vector<bool>::reference is_registered(Name name) noexcept;

  int epoll_;
  std::vector<bool> registered_;               ///< by connection
  std::vector<bool> event_registered_{false};  ///< of the receiver's own event
};

}  // namespace weir::detail
