#include "receive/connection.h"

#include <cerrno>

namespace weir::detail {

Request Connection::next_request() const noexcept {
  if (strategy->ring) return silent ? Request::poll : Request::from_ring;
  if (has_data) return Request::take;
  return silent || strategy->polls ? Request::poll : Request::wait;
}

void Connection::note_poll(int result) noexcept {
  note_end(result);
  if (result <= 0) return;
  has_data = true;
  silent = false;
  lapse = Lapse::none;
}

void Connection::note_receive(int result, bool ended, os::Time now) noexcept {
  const bool into_buffer = request != Request::from_ring;
  if (ended) note_end(result);
  if (result > 0) {
    if (into_buffer) predictor.observe(static_cast<std::uint32_t>(result));
    active = now;
    has_data = strategy->drains;
    silent = false;
    lapse = Lapse::none;
  } else if (result == -EAGAIN) {
    has_data = false;
    silent = true;
  }
}

/// An idle one that was cancelled in time waits by poll. What ended otherwise was not cancelled for its silence, so
/// that a cancel that comes too late must not tell of one.
void Connection::note_end(int result) noexcept {
  request = Request::none;
  cancelling = false;
  silent = silent || (result == -ECANCELED && lapse == Lapse::idle);
  if (result != -ECANCELED || lapse == Lapse::idle) lapse = Lapse::none;
}

}  // namespace weir::detail
