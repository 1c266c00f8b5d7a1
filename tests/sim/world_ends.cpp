#include <algorithm>
#include <utility>

#include "sim/report.h"
#include "sim/world.h"
#include "slab/pool_state.h"
#include "stats/counts.h"

// What must hold in the simulated world when it comes to rest.

namespace weir::sim {
namespace {

unsigned long long number(std::uint64_t value) { return value; }

}  // namespace

/// Runs until the loop sleeps and nothing will wake it.
void World::rest() {
  constexpr int kMostRounds = 10'000;
  for (int round = 0; round < kMostRounds; ++round) {
    loop();
    check();
    const bool more = setup_.epoll ? kernel_.epoll().has_events() : kernel_.has_work();
    if (can_sleep() && !more && kernel_.queues().unseen().empty()) return;
  }
  violate("the loop never comes to rest");
}

void World::run_short() {
  trace("user: takes all there is");
  calm_ = true;
  for (const auto& each : peers_) {
    if (each->file->finished || each->file->broken) continue;
    each->file->note_coming(kernel_.now());
    each->file->arrived += random_.between(1, 300);
  }
  borrow_all();
  rest();
  constexpr int kOneByOne = 12;
  for (int i = 0; i < kOneByOne; ++i) {
    check_shortage();
    check_told();
    drop_one();
    rest();
  }
}

/// Nobody waits for a buffer while there is one, in the pool or in the receiver's rings, or memory to make one of.
void World::check_shortage() {
  if (parked() == 0) return;
  for (const BufferGroup& each : kernel_.groups()) {
    const Receiver& owner = *receivers_[(each.id() - kFirstGroup) / kGroupsApart];
    if (owner.parked() > 0 && each.count() > 0) {
      violate("%zu connections are parked, and group %u has %u buffers", owner.parked(), each.id(), each.count());
    }
  }
  for (std::size_t i = 0; i < setup_.options.classes.size(); ++i) {
    const std::uint32_t bytes = setup_.options.classes[i];
    if (bytes > setup_.options.receive_bytes) break;
    const Counts counts = detail::counts_of_lane(detail::segment(), pool_.state().home_depot(i).lane_index());
    if (counts.free + counts.cached > 0 || pool_.lend(bytes)) {
      violate("%zu connections are parked, and there are buffers of %u bytes", parked(), bytes);
    }
  }
}

/// It takes no buffer to see the end.
void World::check_told() {
  for (const auto& each : peers_) {
    const File& file = *each->file;
    if (each->ended || each->paused || (!file.finished && !file.broken)) continue;
    if (each->received == file.arrived) violate("connection %llu is not told of its end", number(file.id));
  }
}

void World::settle() {
  calm_ = true;
  drop_all();
  rest();
  check_paused();
  check_arrived();
  for (const auto& each : peers_) {
    if (each->ended || !each->paused) continue;
    awake_ = true;
    each->paused = false;
    each->active = kernel_.now();
    each->receiver->resume(*each);
  }
  rest();
  check_arrived();
  let_time_pass();
  say_more();
}

std::size_t World::parked() const {
  std::size_t parked = 0;
  for (const auto& each : receivers_) parked += each->parked();
  return parked;
}

/// Nobody waits for a buffer, and all of every connection has come, but of those that are paused.
void World::check_arrived() {
  if (parked() > 0) violate("%zu connections are parked for ever", parked());
  for (const auto& each : peers_) {
    const File& file = *each->file;
    if (each->ended || each->paused) continue;
    if (each->received != file.arrived) {
      violate("connection %llu waits for ever: %llu of %llu bytes received", number(file.id), number(each->received),
              number(file.arrived));
    }
    if (file.finished || file.broken) violate("connection %llu is never told of its end", number(file.id));
  }
}

void World::check_paused() {
  for (const auto& peer : peers_) {
    if (peer->ended || !peer->paused) continue;
    for (const Request& each : kernel_.requests()) {
      if (each.file == peer->file) violate("connection %llu is paused and has a request", number(peer->file->id));
    }
  }
}

/// Who is silent for so long ends, where that is asked for, or holds no buffer and only polls.
void World::let_time_pass() {
  constexpr int kMostAlarms = 4000;
  for (int alarms = 0; next_deadline() != Kernel::Time::max(); ++alarms) {
    if (alarms == kMostAlarms) violate("the receivers' deadlines never end");
    kernel_.pass(std::max(Kernel::Time::duration(0), next_deadline() - kernel_.now()));
    rest();
  }
  if (setup_.options.idle_ms > 0) {
    for (const Request& each : kernel_.requests()) {
      if (!each.poll) violate("connection %llu is idle and does not wait by poll", number(each.file->id));
    }
  }
  if (setup_.options.deadline_ms == 0) return;
  for (const auto& each : peers_) {
    if (!each->ended) violate("connection %llu is silent and is not timed out", number(each->file->id));
  }
}

/// Who has been silent hears of more, and of the end.
void World::say_more() {
  for (const auto& each : peers_) {
    if (!each->ended) each->file->arrived += random_.between(1, 2000);
  }
  rest();
  check_arrived();
  for (const auto& each : peers_) (random_.chance(50) ? each->file->finished : each->file->broken) = true;
  rest();
  check_arrived();
}

/// Stops it, and waits for its requests' ends.
void World::drain(Receiver& receiver) {
  awake_ = true;
  receiver.stop_all();
  for (const auto& each : peers_) {
    if (each->receiver == &receiver && !each->ended) close(*each);
  }
  rest();
  if (receiver.has_inflight()) violate("%zu requests never end", in_flight_of(receiver));
}

void World::replace_receiver() {
  const std::size_t index = random_.below(receivers_.size());
  trace("user: receiver %zu goes, and another comes", index);
  const bool was_calm = std::exchange(calm_, true);
  drain(*receivers_[index]);
  const Receiver* const gone = receivers_[index].get();
  receivers_[index] = nullptr;
  note_unfinished();
  drop_all();  // a ring needs memory
  receivers_[index] = make_receiver(index);
  for (const auto& each : peers_) {
    if (each->receiver == gone) each->receiver = receivers_[index].get();
  }
  calm_ = was_calm;
}

void World::end() {
  trace("user: stops all");
  calm_ = true;
  for (const auto& each : receivers_) drain(*each);
  peers_.clear();
  receivers_.clear();
  const Counts counts = pool_.counts();
  if (counts.kernel_ring + counts.kernel_request != 0) violate("the kernel has buffers after the receivers' end");
  drop_all();
  if (pool_.counts().user != 0) violate("the user has buffers without a loan");
  check_pool();
}

}  // namespace weir::sim
