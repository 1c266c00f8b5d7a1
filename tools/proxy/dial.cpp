#include "dial.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "server/tcp.h"

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;
using server::Backend;
using server::Clock;
using server::Fd;
using server::Operation;

constexpr auto kNever = Clock::time_point::max();
constexpr auto kBetweenLooks = 20ms;
constexpr auto kLookupPatience = 2s;

}  // namespace

void Dial::go_on(Backend& backend, Clock::time_point now) {
  if (stopped_ || now < due_) return;
  if (waits_for_lookup_ && !take_lookup(now)) return;
  for (const std::size_t before = running_.size(); running_.size() == before && next_ < addresses_->size();) {
    start(backend, (*addresses_)[next_++]);
  }
  due_ = next_ < addresses_->size() ? now + server::kAttemptDelay : kNever;
  if (is_over() && upstream_.is_name() && !std::exchange(looked_up_, true)) look_up(now);
}

/// All addresses have failed: the name may have others by now.
void Dial::look_up(Clock::time_point now) {
  waits_for_lookup_ = true;
  lookup_ = upstream_.look_up();
  lookup_end_ = now + kLookupPatience;
  due_ = now + kBetweenLooks;
}

/// True when there are others to be tried now.
bool Dial::take_lookup(Clock::time_point now) {
  due_ = now + kBetweenLooks;
  if (upstream_.lookups() < lookup_ && now < lookup_end_) return false;
  waits_for_lookup_ = false;
  due_ = kNever;
  const Upstream::Addresses before = std::exchange(addresses_, upstream_.addresses());
  if (std::is_permutation(before->begin(), before->end(), addresses_->begin(), addresses_->end())) return false;
  next_ = 0;
  failures_.clear();
  return true;
}

void Dial::start(Backend& backend, const Address& address) {
  Fd file(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));  // a non-blocking one would not wait to be sent to
  if (file.get() < 0) return note_failure(address, -errno);
  server::send_without_delay(file.get());
  server::limit_connect(file.get(), patience_);
  running_.push_back(std::make_unique<Attempt>(pair_, address, std::move(file)));
  backend.connect(*running_.back(), running_.back()->address);
}

Fd Dial::take(Backend& backend, Attempt& attempt, int result, Clock::time_point now) {
  const auto place =
      std::find_if(running_.begin(), running_.end(), [&](const auto& each) { return each.get() == &attempt; });
  const std::unique_ptr<Attempt> ended = std::move(*place);
  running_.erase(place);
  if (stopped_) return {};
  if (result == 0) {
    upstream_.prefer(ended->address);
    stop(backend);
    return std::move(ended->socket);
  }
  note_failure(ended->address, result);
  due_ = next_ < addresses_->size() || running_.empty() ? now : due_;
  go_on(backend, now);
  return {};
}

void Dial::stop(Backend& backend) {
  stopped_ = true;
  due_ = kNever;
  for (const auto& each : running_) backend.cancel(Operation::connect, each.get());
}

void Dial::note_failure(const Address& address, int result) {
  failures_ += (failures_.empty() ? "" : "; ") + server::connect_failure(address, result);
}

}  // namespace weir::proxy
