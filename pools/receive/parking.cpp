#include "receive/parking.h"

#include <weir/error.h>

#include "os/event.h"

namespace weir::detail {
namespace {

int make_event() {
  const int event = os::make_event();
  if (event < 0) throw Error(-event, "cannot make an eventfd: raise the limit on open files with `ulimit -n`");
  return event;
}

}  // namespace

Parking::Parking(PoolState& pool, std::size_t classes)
    : pool_(pool), event_(make_event()), waiters_(classes), depots_(classes, nullptr) {
  for (Waiter& waiter : waiters_) waiter.event = event_;
}

Parking::~Parking() {
  remove_waiter();
  os::close_event(event_);
}

bool Parking::wait() noexcept {
  if (depots_.front() != &pool_.home_depot(0)) {
    remove_waiter();
    for (std::size_t i = 0; i < depots_.size(); ++i) depots_[i] = &pool_.home_depot(i);
  }
  return pool_.enqueue_waiters(depots_, waiters_);
}

void Parking::remove_waiter() noexcept {
  if (depots_.front() == nullptr) return;  // as at nearly every turn
  for (std::size_t i = 0; i < depots_.size(); ++i) {
    if (depots_[i] != nullptr) depots_[i]->remove_waiter(waiters_[i]);
    depots_[i] = nullptr;
  }
}

void Parking::signal_event() noexcept { os::signal_event(event_); }

void Parking::clear_event() noexcept { os::clear_event(event_); }

}  // namespace weir::detail
