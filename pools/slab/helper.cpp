#include "slab/helper.h"

#include <weir/error.h>

#include <algorithm>
#include <exception>

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

std::chrono::steady_clock::time_point now_is() { return std::chrono::steady_clock::now(); }

}  // namespace

Helper::Helper(PoolState& pool, Alarm& alarm) : pool_(pool), alarm_(alarm), decay_again_(now_is()) {
  const int error = os::start_thread(
      "weir-grow", [](void* self) { static_cast<Helper*>(self)->run(); }, this, thread_);
  if (error != 0)
    throw Error(-error, "cannot start the pool's helper thread: raise `ulimit -u`, or unset WEIR_GROW and WEIR_DECAY");
}

Helper::~Helper() {
  alarm_.raise(Alarm::ending);
  os::join_thread(thread_);
}

void Helper::run() {
  while (true) {
    alarm_.wait(causes_that_wake(now_is()), next_due(now_is()));
    const Time now = now_is();
    const unsigned heard = alarm_.hear(causes_that_wake(now));
    if ((heard & Alarm::ending) != 0) return;
    look(heard, now);
  }
}

/// What was raised already, and what nothing can be done about for now, must not wake it again and again.
unsigned Helper::causes_that_wake(Time now) const {
  unsigned causes = Alarm::ending;
  if (now >= grow_again_) causes |= Alarm::short_of_memory;
  if (now >= calm_) causes |= Alarm::exhausted;
  return causes;
}

Alarm::Time Helper::next_due(Time now) const {
  Time due = now + kLong;
  if (now < grow_again_) due = std::min(due, grow_again_);
  if (now < calm_) due = std::min(due, calm_);
  if (pool_.options().decay_seconds > 0) due = std::min(due, decay_again_);
  return due;
}

void Helper::look(unsigned heard, Time now) {
  if (now >= grow_again_) grow(now);
  tell(heard, now);
  decay(now);
}

/// Every node is tried: one that cannot grow must not keep the others from it.
void Helper::grow(Time now) {
  bool is_short = false;
  std::string cause;
  for (std::size_t node = 0; node < pool_.node_count(); ++node) {
    try {
      grow_node(node);
    } catch (const std::exception& error) {
      cause = error.what();
    }
    is_short = is_short || pool_.is_short(node);
  }
  if (!cause.empty()) {
    back_off_ = std::clamp(back_off_ * 2, kFirstBackOff, kLastBackOff);
    grow_again_ = now + back_off_;
    say(cause);
  } else if (is_short) {
    grow_again_ = now + kCalm;  // it is not asked to grow
  }
}

void Helper::grow_node(std::size_t node) {
  while (pool_.options().grow_bytes > 0 && pool_.is_short(node)) {
    pool_.grow(node);
    back_off_ = {};
    cause_said_.clear();
  }
}

void Helper::say(const std::string& cause) {
  if (cause == cause_said_) return;
  const bool told = pool_.alerts().tell(AlertKind::growth_failed, [&] { return "the pool does not grow: " + cause; });
  if (told) cause_said_ = cause;
}

void Helper::tell(unsigned heard, Time now) {
  const Options& options = pool_.options();
  if (now >= calm_) {
    const bool exhausted = (heard & Alarm::exhausted) != 0;
    if (exhausted) pool_.tell_exhausted();
    if (exhausted && !exhausted_ && options.on_exhausted) options.on_exhausted();
    exhausted_ = exhausted;
    if (exhausted) calm_ = now + kCalm;
  }
  const bool low = pool_.free_bytes() < options.low_water_bytes;
  if (low && !low_ && options.on_low_water) options.on_low_water();
  low_ = low;
}

void Helper::decay(Time now) {
  const std::chrono::seconds age{pool_.options().decay_seconds};
  if (age.count() == 0 || now < decay_again_) return;
  pool_.decay(age);
  decay_again_ = now + milliseconds(age) / kLooksPerDecay;
}

}  // namespace weir::detail
