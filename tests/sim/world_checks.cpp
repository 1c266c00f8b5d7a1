#include <algorithm>

#include "sim/report.h"
#include "sim/world.h"

// What must hold in the simulated world.

namespace weir::sim {
namespace {

unsigned long long number(std::uint64_t value) { return value; }

bool is_last(const Completion& completion) { return (completion.flags & IORING_CQE_F_MORE) == 0; }

}  // namespace

void World::check() {
  check_hands();
  check_counts();
}

/// No memory is the kernel's and the user's, or twice the kernel's.
void World::check_hands() {
  std::vector<Range> all;
  for (const BufferGroup& each : kernel_.groups()) each.add_ranges(all);
  for (const Request& each : kernel_.requests()) {
    if (each.has_buffer()) all.push_back({each.buffer.data(), each.buffer.size()});
  }
  for (const io_uring_sqe* each : kernel_.queues().prepared()) {
    if (each->opcode == IORING_OP_RECV && each->addr != 0)
      all.push_back({reinterpret_cast<const std::byte*>(each->addr), each->len});
  }
  for (const Completion& each : kernel_.queues().unseen()) all.insert(all.end(), each.buffers.begin(), each.buffers.end());
  for (const Kept& each : kept_) all.push_back({each.loan.data(), each.loan.size()});

  std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.data < b.data; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i - 1].data + all[i - 1].bytes > all[i].data || all[i - 1].data == all[i].data) {
      violate("a buffer is in two hands");
    }
  }
}

/// The law, and that the pool's counts are what the kernel and the user really have.
void World::check_counts() {
  const Counts counts = pool_.counts();
  if (!counts.law_holds()) violate("the law does not hold");
  if (counts.user != kept_.size()) violate("%zu loans are out, but %llu are counted", kept_.size(), number(counts.user));

  std::uint64_t in_rings = 0;
  for (const BufferGroup& each : kernel_.groups()) in_rings += each.count();
  std::uint64_t requested = 0;
  std::size_t in_flight = kernel_.requests().size() + kernel_.queues().prepared().size();
  for (const Request& each : kernel_.requests()) requested += each.has_buffer();
  for (const io_uring_sqe* each : kernel_.queues().prepared()) {
    requested += each->opcode == IORING_OP_RECV && each->addr != 0;
  }
  for (const Completion& each : kernel_.queues().unseen()) {
    in_rings += each.slots;
    requested += (each.flags & IORING_CQE_F_BUFFER) == 0 && !each.buffers.empty();
    in_flight += is_last(each);
  }
  if (counts.kernel_ring != in_rings) {
    violate("rings have %llu buffers, but %llu are counted", number(in_rings), number(counts.kernel_ring));
  }
  if (counts.kernel_request != requested) {
    violate("requests have %llu buffers, but %llu are counted", number(requested), number(counts.kernel_request));
  }
  if (receiver_->quiet() != (in_flight == 0)) {
    violate("%zu requests are in flight, and quiet() is %s", in_flight, receiver_->quiet() ? "true" : "false");
  }
}

void World::check_pool() const {
  if (const std::string problem = pool_.check_all(); !problem.empty()) violate("%s", problem.c_str());
  std::size_t bytes = 0;
  for (const Grade& each : pool_.grades()) bytes += each.bytes;
  if (bytes > setup_.options.bytes) violate("the pool mapped %zu bytes, more than its budget", bytes);
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
    receiver_->resume(*each);
  }
  rest();
  check_arrived();
  let_time_pass();
  say_more();
}

/// Runs until the loop sleeps and nothing will wake it.
void World::rest() {
  constexpr int kMostRounds = 20'000;
  for (int round = 0; round < kMostRounds; ++round) {
    loop();
    check();
    const bool asleep = !awake_ && io_uring_cq_ready(&kernel_.queues().ring()) == 0;
    if (asleep && !kernel_.has_work() && kernel_.now() < receiver_->next_deadline()) return;
  }
  violate("the loop never comes to rest");
}

/// Nobody waits for a buffer, and all of every connection has come, but of those that are paused.
void World::check_arrived() {
  if (const std::size_t parked = receiver_->parked(); parked > 0) violate("%zu connections are parked for ever", parked);
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
  int alarms = 0;
  for (; receiver_->next_deadline() != Kernel::Time::max(); ++alarms) {
    if (alarms == kMostAlarms) violate("the receiver's deadlines never end");
    kernel_.pass(std::max(Kernel::Time::duration(0), receiver_->next_deadline() - kernel_.now()));
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

void World::end() {
  trace("user: stops all");
  calm_ = true;
  awake_ = true;
  receiver_->stop_all();
  rest();
  if (!receiver_->quiet()) violate("%zu requests never end", kernel_.requests().size());
  peers_.clear();
  receiver_.reset();
  const Counts counts = pool_.counts();
  if (counts.kernel_ring + counts.kernel_request != 0) violate("the kernel has buffers after the receiver's end");
  drop_all();
  if (pool_.counts().user != 0) violate("the user has buffers without a loan");
  check_pool();
}

}  // namespace weir::sim
