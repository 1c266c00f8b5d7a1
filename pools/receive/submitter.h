#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::detail {

/// What the user data of a request and of its completion says. The generation tells a connection's requests apart.
struct RequestId {
  enum class Kind : std::uint8_t { receive, poll, cancel, event };

  Kind kind = Kind::receive;
  std::uint16_t generation = 0;
  std::uint32_t connection = 0;
};

/// Submits what the kernel is asked for on behalf of a receiver, tells the completions of that from others', and counts
/// how many requests the kernel has. Each way to ask returns 0; -EAGAIN when there is no room for it just now; or
/// another -errno when it failed at once.
class Submitter {
 public:
  using Kind = RequestId::Kind;
  static constexpr std::uint32_t kMostConnections = 1U << 24;
  static constexpr std::uint16_t kGenerations = 1U << 12;

  /// A receive for which the kernel picks the buffer.
  struct FromRing {
    std::uint16_t group;
    bool once = false;         ///< of what is there, failing with EAGAIN rather than wait; else it stays armed
    bool polls_first = false;  ///< it looks for a buffer when there is data, and not before
    bool bundles = false;
  };

  /// `number` tells the receivers of an io_uring or epoll apart.
  explicit Submitter(std::uint16_t number) : number_(number) {}
  virtual ~Submitter() = default;
  Submitter(const Submitter&) = delete;
  Submitter& operator=(const Submitter&) = delete;

  bool owns(std::uint64_t user_data) const noexcept;
  static RequestId id_of(std::uint64_t user_data) noexcept;

  /// Room for requests of so many connections. Throws std::bad_alloc.
  virtual void make_room(std::size_t /*connections*/) {}
  virtual int receive_from_ring(RequestId id, int fd, FromRing how) noexcept = 0;
  /// `at_once`: it fails with EAGAIN rather than wait.
  virtual int receive_into(RequestId id, int fd, std::span<std::byte> buffer, bool at_once) noexcept = 0;
  virtual int poll(RequestId id, int fd) noexcept = 0;
  virtual int cancel(RequestId id, int fd) noexcept = 0;
  /// True when cancel() has ended the request. Else it ends by its completion.
  virtual bool cancels_at_once() const noexcept = 0;

  /// A completion was seen.
  void note_completion(bool last) noexcept { in_flight_ -= last ? 1 : 0; }
  std::size_t in_flight() const noexcept { return in_flight_; }

 protected:
  std::uint64_t user_data(RequestId id) const noexcept;
  void note_request() noexcept { ++in_flight_; }

 private:
  const std::uint16_t number_;
  std::size_t in_flight_ = 0;
};

}  // namespace weir::detail
