#include "slab/helper.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>

#include "os/thread.h"
#include "slab/pool_state.h"

namespace weir::detail {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackOff{100};
constexpr milliseconds kLastBackOff{10'000};
constexpr milliseconds kCalm{1000};
constexpr std::chrono::hours kLong{24};
constexpr int kLooksPerDecay = 4;

std::string why_no_thread(int error) {
  const std::string text = std::string("cannot start the pool's helper thread (") + std::strerror(-error) + "): ";
  const char* fix = error == -EAGAIN
                        ? "raise `ulimit -u` and the control group's pids.max (TasksMax in a systemd unit)"
                        : "let the system call filter allow clone and clone3 (Docker before 20.10.10 refuses clone3)";
  return text + fix + ", or unset WEIR_GROW and WEIR_DECAY";
}

std::chrono::steady_clock::time_point now_is() { return std::chrono::steady_clock::now(); }

}  // namespace

Helper::Helper(PoolState& pool) : pool_(pool), growth_(pool.node_count()), decay_again_(now_is()) {
  const int error = os::start_thread(
      "weir-grow", [](void* self) { static_cast<Helper*>(self)->run(); }, this, thread_);
  if (error != 0) throw Error(-error, why_no_thread(error));
}

Helper::~Helper() {
  pool_.alarm().raise(Alarm::ending);
  os::join_thread(thread_);
}

void Helper::run() {
  while (true) {
    pool_.alarm().wait(causes_that_wake(now_is()), next_due(now_is()));
    const Time now = now_is();
    const unsigned heard = pool_.alarm().hear(causes_that_wake(now));
    if ((heard & Alarm::ending) != 0) return;
    look(heard, now);
  }
}

/// What was raised already, and what nothing can be done about for now, must not wake it again and again.
unsigned Helper::causes_that_wake(Time now) const {
  unsigned causes = Alarm::ending;
  for (std::size_t node = 0; node < growth_.size(); ++node) {
    if (now >= growth_[node].again) causes |= Alarm::short_on(node);
  }
  if (now >= exhausted_.calm) causes |= Alarm::exhausted;
  if (now >= low_.calm && pool_.options().on_low_water) causes |= Alarm::low_water;
  return causes;
}

Alarm::Time Helper::next_due(Time now) const {
  Time due = now + kLong;
  const auto wait_for = [&](Time time) { due = now < time ? std::min(due, time) : due; };
  for (const Growth& each : growth_) wait_for(each.again);
  wait_for(exhausted_.calm);
  wait_for(low_.calm);
  if (pool_.options().decay_seconds > 0) due = std::min(due, decay_again_);
  return due;
}

void Helper::look(unsigned heard, Time now) {
  for (std::size_t node = 0; node < growth_.size(); ++node) {
    if (now >= growth_[node].again) grow(node, now);
  }
  tell_exhausted((heard & Alarm::exhausted) != 0, now);
  tell_low(now);
  decay(now);
}

void Helper::grow(std::size_t node, Time now) {
  Growth& growth = growth_[node];
  try {
    grow_while_short(node);
    if (pool_.is_short(node)) growth.again = now + kCalm;  // it is not asked to grow
  } catch (const std::exception& error) {
    growth.back_off = std::clamp(growth.back_off * 2, kFirstBackOff, kLastBackOff);
    growth.again = now + growth.back_off;
    say(growth.said, error.what());
  }
}

void Helper::grow_while_short(std::size_t node) {
  while (pool_.options().grow_bytes > 0 && pool_.is_short(node)) {
    pool_.grow(node);
    growth_[node] = {};
  }
}

void Helper::say(std::string& said, const char* cause) {
  if (cause == said) return;
  const auto message = [&] { return std::string("the pool does not grow: ") + cause; };
  if (pool_.alerts().tell(AlertKind::growth_failed, message)) said = cause;
}

bool Helper::Notice::begins(bool now_is, Time now) {
  const bool told = now_is && !is;
  if (now_is) calm = now + kCalm;
  is = now_is || (is && now < calm);
  return told;
}

void Helper::tell_exhausted(bool is, Time now) {
  if (is) pool_.tell_exhausted();
  if (exhausted_.begins(is, now) && pool_.options().on_exhausted) pool_.options().on_exhausted();
}

/// The mark is one of the whole pool, and growing may have helped.
void Helper::tell_low(Time now) {
  const Options& options = pool_.options();
  if (!options.on_low_water) return;
  if (low_.begins(pool_.free_bytes() < options.low_water_bytes, now)) options.on_low_water();
}

void Helper::decay(Time now) {
  const std::chrono::seconds age{pool_.options().decay_seconds};
  if (age.count() == 0 || now < decay_again_) return;
  pool_.decay(age);
  decay_again_ = now + milliseconds(age) / kLooksPerDecay;
}

}  // namespace weir::detail
