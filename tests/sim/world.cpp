#include "sim/world.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/report.h"

namespace weir::sim {
namespace {

constexpr int kEpoll = 1000;  // the descriptor of the epoll, which nobody looks at

unsigned long long number(std::uint64_t value) { return value; }

}  // namespace

World::World(Random& random)
    : random_(random),
      setup_(draw_setup(random)),
      kernel_(random, setup_.personality, setup_.shape),
      pool_(setup_.options) {
  for (std::size_t i = 0; i < setup_.receivers; ++i) receivers_.push_back(make_receiver(i));
}

World::~World() = default;

std::unique_ptr<Receiver> World::make_receiver(std::size_t index) {
  const auto group = static_cast<std::uint16_t>(kFirstGroup + index * kGroupsApart);
  if (setup_.epoll) return std::make_unique<Receiver>(pool_, weir::Epoll{kEpoll}, group);
  return std::make_unique<Receiver>(pool_, kernel_.queues().ring(), group);
}

/// One round of the server's loop: it waits, sees what there is, and has the receivers ask for more.
void World::loop() {
  if (!setup_.epoll) kernel_.enter();
  setup_.epoll ? dispatch_events() : dispatch();
  if (!can_sleep()) turn();
}

/// The loop has nothing to do before it waits.
bool World::can_sleep() {
  const bool seen_all = setup_.epoll || io_uring_cq_ready(&kernel_.queues().ring()) == 0;
  return !awake_ && seen_all && kernel_.now() < next_deadline();
}

Kernel::Time World::next_deadline() const {
  Kernel::Time next = Kernel::Time::max();
  for (const auto& each : receivers_) next = std::min(next, each->next_deadline());
  return next;
}

void World::turn() {
  constexpr int kMostTurns = 1000;
  for (const auto& each : receivers_) {
    int turns = 0;
    bool more = true;
    while (more) {
      more = each->turn();
      note_unfinished();
      check_wakes();
      kernel_.submit();
      if (++turns == kMostTurns) violate("turn() has more to do without end");
    }
  }
  awake_ = false;
  note_parked();
}

/// A batch of completions: all that there are, or the first of them.
void World::dispatch() {
  io_uring& ring = kernel_.queues().ring();
  std::size_t left = io_uring_cq_ready(&ring);
  if (left > 1 && random_.chance(20)) left = random_.between(1, left);
  for (; left > 0; --left) {
    awake_ = true;
    const io_uring_cqe& cqe = ring.cq.cqes[*ring.cq.khead & ring.cq.ring_mask];
    note_seen(kernel_.queues().unseen().front());
    owner_of(cqe).complete(cqe, [this](Inflow& inflow, Received what) { hand(inflow, std::move(what)); });
    io_uring_cq_advance(&ring, 1);
    forget_retired();
  }
}

void World::dispatch_events() {
  for (const epoll_event& event : kernel_.epoll().wait(random_)) {
    awake_ = true;
    const auto owns = [&](const auto& each) { return each->owns(event); };
    const auto owner = std::find_if(receivers_.begin(), receivers_.end(), owns);
    if (owner == receivers_.end()) violate("no receiver owns event %#llx", number(event.data.u64));
    (*owner)->complete(event, [this](Inflow& inflow, Received what) { hand(inflow, std::move(what)); });
  }
}

Receiver& World::owner_of(const io_uring_cqe& cqe) {
  const auto owns = [&](const auto& each) { return each->owns(cqe); };
  const auto owner = std::find_if(receivers_.begin(), receivers_.end(), owns);
  if (owner == receivers_.end()) violate("no receiver owns completion %#llx", number(cqe.user_data));
  return **owner;
}

/// From here on the receiver has what the completion brings.
void World::note_seen(const Completion& completion) {
  if (completion.result > 0 && !completion.buffers.empty()) {
    completion.file->heard = kernel_.now();
    auto& handed = completion.file->handed;
    handed.insert(handed.end(), completion.buffers.begin(), completion.buffers.end());
    if (completion.slots == 0) handed.back().bytes = static_cast<std::size_t>(completion.result);
  }
  retired_.insert(retired_.end(), completion.retired.begin(), completion.retired.end());
}

/// Buffers that came home half filled, with their ring: the user may have slices of them.
void World::note_unfinished() {
  for (const Range& each : kernel_.take_unfinished()) {
    if (has_slice_of(each)) retired_.push_back(each);
  }
}

/// Those of which nobody has a slice any more may be anything by now.
void World::forget_retired() {
  std::erase_if(retired_, [&](const Range& each) { return !has_slice_of(each); });
}

bool World::has_slice_of(const Range& buffer) const {
  const auto is_handed = [&](const auto& peer) {
    const auto& handed = peer->file->handed;
    return !peer->ended && std::any_of(handed.begin(), handed.end(), [&](auto& each) { return buffer.has(each.data); });
  };
  return std::any_of(kept_.begin(), kept_.end(), [&](const Kept& each) { return buffer.has(each.loan.data()); }) ||
         std::any_of(peers_.begin(), peers_.end(), is_handed);
}

void World::hand(Inflow& inflow, Received received) {
  Peer& peer = static_cast<Peer&>(inflow);
  const auto known = [&](const auto& each) { return each.get() == &peer; };
  if (std::none_of(peers_.begin(), peers_.end(), known)) violate("a handler is called for an inflow that is gone");
  if (peer.ended) violate("connection %llu: its handler is called after the end", number(peer.file->id));
  if (peer.paused) violate("connection %llu: its handler is called while it is paused", number(peer.file->id));
  if (received.closed()) {
    note_end(peer, received.error);
  } else {
    take_data(peer, received);
  }
  if (!calm_ && setup_.options.deadline_ms > 0 && random_.chance(3)) stall();
  if (!calm_ && random_.chance(setup_.handler_acts)) act_in_handler();
}

void World::take_data(Peer& peer, Received& received) {
  const std::uint64_t at = peer.received;
  trace("user: %u bytes of %llu at %llu", received.data.size(), number(peer.file->id), number(at));
  auto& handed = peer.file->handed;
  const bool right =
      !handed.empty() && handed.front().data == received.data.data() && handed.front().bytes == received.data.size();
  if (!right) violate("connection %llu is not given what the kernel filled", number(peer.file->id));
  handed.pop_front();
  peer.received += received.data.size();
  peer.was_late = false;
  kept_.push_back({std::move(received.data), peer.file->id, at});
  if (!random_.chance(setup_.keeps) || calm_) drop(kept_.size() - 1);
}

void World::note_end(Peer& peer, int error) {
  const File& file = *peer.file;
  trace("user: %llu has ended: %d", number(file.id), error);
  const bool whole = peer.received == file.arrived;
  const bool right = (error == 0 && file.finished && whole) || (error == ECONNRESET && file.broken && whole) ||
                     (error == ETIMEDOUT && is_late(peer) && was_silent(peer));
  if (!right) {
    violate("connection %llu is told of error %d, with %llu of %llu bytes received", number(file.id), error,
            number(peer.received), number(file.arrived));
  }
  close(peer);
  if (random_.chance(50)) remove(peer);
}

bool World::is_late(const Peer& peer) const {
  const std::chrono::milliseconds deadline(setup_.options.deadline_ms);
  const Kernel::Time active = std::max(peer.active, peer.file->heard);
  return peer.was_late || (setup_.options.deadline_ms > 0 && kernel_.now() - active >= deadline);
}

/// Nothing of it lies about that came before its time was over.
bool World::was_silent(const Peer& peer) const {
  const File& file = *peer.file;
  const std::chrono::milliseconds deadline(setup_.options.deadline_ms);
  const bool in_time = file.readable() && !peer.was_late && file.since - std::max(peer.active, file.heard) < deadline;
  return file.handed.empty() && !in_time;
}

void World::act_in_handler() {
  constexpr void (World::*kActs[])() = {&World::stop,  &World::stop,      &World::pause,    &World::resume,
                                        &World::open,  &World::drop_one,  &World::drop_all, &World::borrow,
                                        &World::speak, &World::run_kernel};
  (this->*random_.pick(kActs))();
}

}  // namespace weir::sim
