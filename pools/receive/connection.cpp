#include "receive/connection.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "receive/submitter.h"

namespace weir::detail {
namespace {

using std::chrono::milliseconds;

/// A connection with data at least so often waits with a buffer. A poll more costs about a microsecond: of a hundred
/// messages a second that is a ten-thousandth of a processor, while the buffer would lie idle for ten milliseconds
/// each.
constexpr milliseconds kOften{10};
/// The same for a multishot receive, which has no buffer of its own: it is dearer than a poll when thousands that were
/// silent have data at once, for then it finds its ring empty.
constexpr milliseconds kOftenForRing{100};

bool has_ring(const StrategyFacts& strategy) { return strategy.ring != StrategyFacts::Ring::none; }
milliseconds often(const StrategyFacts& strategy) { return has_ring(strategy) ? kOftenForRing : kOften; }

}  // namespace

Connection::Pause Connection::first_pause(const StrategyFacts& strategy) noexcept {
  return has_ring(strategy) ? Pause(kOftenForRing) * 5 / 2 : Pause(0);
}

Request Connection::next_request() const noexcept {
  if (has_ring(*strategy) && suits_ring()) return silent && !has_data ? Request::poll : Request::from_ring;
  if (has_data) return Request::recv_now;
  return silent || has_ring(*strategy) || !waits_by_receive() ? Request::poll : Request::recv;
}

/// Large data is better received when a poll has told of it: the buffer that was used last is in the cache, while a
/// ring's come round one after the other.
bool Connection::suits_ring() const noexcept {
  const bool is_large = strategy->wait == StrategyFacts::Wait::adaptive && predictor.predict() > kLargestOfRing;
  return waits_by_receive() && !is_large;
}

bool Connection::waits_by_receive() const noexcept {
  if (strategy->wait != StrategyFacts::Wait::adaptive) return strategy->wait == StrategyFacts::Wait::receive;
  return pause < often(*strategy);
}

void Connection::renew() noexcept {
  generation = static_cast<std::uint16_t>((generation + 1) % Submitter::kGenerations);
}

void Connection::note_poll(int result) noexcept {
  note_end(result);
  if (result <= 0) return;
  has_data = true;
  lapse = Lapse::none;
}

void Connection::note_receive(int result, std::uint32_t capacity, bool ended, os::Time now) noexcept {
  if (ended) note_end(result);
  if (result > 0) {
    predictor.observe(static_cast<std::uint32_t>(result), capacity);
    note_data(now);
  } else if (result == -EAGAIN) {
    note_nothing();
  } else if (result == -ENOBUFS) {
    has_data = true;
  }
}

void Connection::note_taken(int result, std::uint32_t capacity, os::Time now) noexcept {
  note_nothing();
  if (result <= 0) return;
  predictor.observe(static_cast<std::uint32_t>(result), capacity);
  note_data(now);
}

void Connection::note_nothing() noexcept {
  has_data = false;
  silent = true;
}

void Connection::note_data(os::Time now) noexcept {
  const os::Time::duration longest = 4 * often(*strategy);  // an hour of silence shall not count for more than a moment
  pause = std::chrono::duration_cast<Pause>(pause + (std::min(now - active, longest) - pause) / 4);
  active = now;
  has_data = false;
  silent = false;
  retried = false;
  lapse = Lapse::none;
}

/// An idle one that was cancelled in time waits by poll. What ended otherwise was not cancelled for its silence, so
/// that a cancel that comes too late must not tell of one.
void Connection::note_end(int result) noexcept {
  request = Request::none;
  if (std::exchange(cancelling, false)) renew();
  if (result == -ECANCELED && lapse == Lapse::idle) {
    silent = true;
    has_data = false;  // what said so was wrong: -ENOBUFS comes without data too
  }
  if (result != -ECANCELED || lapse == Lapse::idle) lapse = Lapse::none;
}

}  // namespace weir::detail
