#pragma once

#include <poll.h>

#include "cache/depot.h"
#include "os/event.h"

namespace weir::testing {

/// A waiter that can say whether it was woken since it was asked last.
struct Bell : detail::Waiter {
  Bell() { event = os::make_event(); }
  ~Bell() { os::close_event(event); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  bool rang() {
    pollfd request{.fd = event, .events = POLLIN, .revents = 0};
    const bool ringing = poll(&request, 1, 0) == 1;
    os::clear_event(event);
    return ringing;
  }
};

}  // namespace weir::testing
