#pragma once

#include <vector>

#include "receive/submitter.h"

namespace weir::detail {

/// A submitter of an epoll: a file that is registered while somebody wants its data. It stays so from one request to
/// the next, which saves two system calls a message, so that it may be told of data that nobody waits for, and then has
/// to cancel.
class EpollSubmitter final : public Submitter {
 public:
  EpollSubmitter(int epoll, std::uint16_t number) : Submitter(number), epoll_(epoll) {}

  void make_room(std::size_t connections) override { registered_.resize(connections); }
  int receive_from_ring(RequestId id, int fd, FromRing how) noexcept override;
  /// A poll: who knows the buffer receives then.
  int receive_into(RequestId id, int fd, std::span<std::byte> buffer, bool at_once) noexcept override;
  int poll(RequestId id, int fd) noexcept override;
  /// It has ended then.
  int cancel(RequestId id, int fd) noexcept override;
  bool cancels_at_once() const noexcept override { return true; }

 private:
  std::vector<bool>::reference is_registered(RequestId id) noexcept;

  int epoll_;
  std::vector<bool> registered_;               ///< by connection
  std::vector<bool> event_registered_{false};  ///< of the receiver's own event
};

}  // namespace weir::detail
