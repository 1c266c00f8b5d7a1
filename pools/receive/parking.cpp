#include "receive/parking.h"

#include <weir/error.h>

#include "os/event.h"

namespace weir::detail {

Parking::Parking() {
  waiter_.event = os::make_event();
  if (waiter_.event < 0) {
    throw Error(-waiter_.event, "cannot make an eventfd: raise the limit on open files with `ulimit -n`");
  }
}

Parking::~Parking() {
  stop_waiting();
  os::close_event(waiter_.event);
}

void Parking::start_round(bool settled) {
  parked_.insert(parked_.begin(), losers_.begin(), losers_.end());
  losers_.clear();
  if (!settled) return;
  ++round_;
  unanswered_ = 0;
}

bool Parking::wait(PoolState& pool, Depot& depot) noexcept {
  if (&depot != depot_) stop_waiting();
  depot_ = &depot;
  return pool.wait(depot, waiter_);
}

void Parking::stop_waiting() noexcept {
  if (depot_ != nullptr) depot_->stop_waiting(waiter_);
  depot_ = nullptr;
}

void Parking::clear_event() noexcept { os::clear_event(waiter_.event); }

}  // namespace weir::detail
