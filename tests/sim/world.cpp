#include "sim/world.h"

#include <weir/error.h>

#include <algorithm>
#include <utility>

#include "sim/report.h"
#include "sim/stream.h"

namespace weir::sim {
namespace {

using std::chrono::milliseconds;

unsigned long long number(std::uint64_t value) { return value; }

}  // namespace

World::World(Random& random)
    : random_(random),
      setup_(draw_setup(random)),
      kernel_(random, setup_.personality, setup_.shape),
      pool_(setup_.options),
      receiver_(std::make_unique<Receiver>(pool_, kernel_.queues().ring())) {}

World::~World() = default;

/// One round of the server's loop, which sleeps when it has nothing to do.
void World::loop() {
  const bool asleep = !awake_ && io_uring_cq_ready(&kernel_.queues().ring()) == 0;
  if (!asleep || kernel_.now() >= receiver_->next_deadline()) turn();
  kernel_.enter();
  dispatch();
}

void World::turn() {
  constexpr int kMostTurns = 1000;
  int turns = 0;
  while (receiver_->turn()) {
    kernel_.submit();
    if (++turns == kMostTurns) violate("turn() has more to do without end");
  }
  awake_ = false;
}

/// A batch of completions: all that there are, or the first of them.
void World::dispatch() {
  io_uring& ring = kernel_.queues().ring();
  std::size_t left = io_uring_cq_ready(&ring);
  if (left > 1 && random_.chance(20)) left = random_.between(1, left);
  for (; left > 0; --left) {
    awake_ = true;
    io_uring_cqe* cqe = &ring.cq.cqes[*ring.cq.khead & ring.cq.ring_mask];
    if (!receiver_->owns(*cqe)) violate("the receiver disowns completion %#llx", cqe->user_data);
    receiver_->complete(*cqe, [this](Inflow& inflow, Received what) { hand(inflow, std::move(what)); });
    io_uring_cq_advance(&ring, 1);
  }
}

void World::hand(Inflow& inflow, Received received) {
  Peer& peer = static_cast<Peer&>(inflow);
  const auto known = [&](const auto& each) { return each.get() == &peer; };
  if (std::none_of(peers_.begin(), peers_.end(), known)) violate("a handler is called for an inflow that is gone");
  if (peer.ended) violate("connection %llu: its handler is called after the end", number(peer.file->id));
  if (received.closed()) {
    note_end(peer, received.error);
  } else {
    take_data(peer, received);
  }
  if (!calm_ && random_.chance(setup_.handler_acts)) act_in_handler();
}

void World::take_data(Peer& peer, Received& received) {
  const std::uint64_t at = peer.received;
  trace("user: %u bytes of %llu at %llu", received.data.size(), number(peer.file->id), number(at));
  peer.received += received.data.size();
  peer.active = kernel_.now();
  kept_.push_back({std::move(received.data), peer.file->id, at});
  if (!random_.chance(setup_.keeps) || calm_) drop(kept_.size() - 1);
}

void World::note_end(Peer& peer, int error) {
  const File& file = *peer.file;
  trace("user: %llu has ended: %d", number(file.id), error);
  const milliseconds deadline(setup_.options.deadline_ms);
  const bool whole = peer.received == file.arrived;
  const bool late = deadline > milliseconds(0) && kernel_.now() - peer.active >= deadline;
  const bool right = (error == 0 && file.finished && whole) || (error == ECONNRESET && file.broken && whole) ||
                     (error == ETIMEDOUT && late && !peer.paused);
  if (!right) {
    violate("connection %llu is told of error %d, with %llu of %llu bytes received", number(file.id), error,
            number(peer.received), number(file.arrived));
  }
  close(peer);
  if (random_.chance(50)) remove(peer);
}

void World::act_in_handler() {
  constexpr void (World::*kActs[])() = {&World::stop, &World::stop,     &World::pause,    &World::resume,
                                        &World::open, &World::drop_one, &World::drop_all, &World::borrow};
  (this->*random_.pick(kActs))();
}

// The far ends.

Peer* World::some_peer() {
  if (peers_.empty()) return nullptr;
  Peer* const peer = peers_[random_.below(peers_.size())].get();
  return peer->ended ? nullptr : peer;
}

void World::speak() {
  Peer* const peer = some_peer();
  if (peer == nullptr || peer->file->finished || peer->file->broken) return;
  const std::size_t buffer = setup_.options.receive_bytes;
  const std::size_t bytes = random_.chance(70) ? random_.between(1, 300) : random_.between(1, 3 * buffer);
  peer->file->arrived += bytes;
  trace("far: %llu sends %zu", number(peer->file->id), bytes);
  kernel_.run_unasked();
}

void World::finish() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  peer->file->finished = true;
  trace("far: %llu sends no more", number(peer->file->id));
  kernel_.run_unasked();
}

void World::reset_far() {
  Peer* const peer = some_peer();
  if (peer == nullptr || peer->file->finished) return;
  peer->file->broken = true;
  trace("far: %llu is reset", number(peer->file->id));
  kernel_.run_unasked();
}

/// Only a loop that sleeps lets time pass.
void World::pass_time() {
  if (awake_) return loop();
  const milliseconds time(random_.chance(80) ? random_.between(0, 3) : random_.between(0, 1500));
  kernel_.pass(time);
  trace("clock: %lld ms", static_cast<long long>(time.count()));
}

// The user, on the loop's own thread.

void World::open() {
  awake_ = true;
  const auto ended = std::find_if(peers_.begin(), peers_.end(), [](const auto& each) { return each->ended; });
  if (ended == peers_.end() && peers_.size() == setup_.most_connections) return;
  Peer& peer = ended != peers_.end() ? **ended : *peers_.emplace_back(std::make_unique<Peer>());
  peer.file = std::make_shared<File>(File{.id = ++last_id_});
  peer.fd = kernel_.files().open(peer.file);
  peer.received = 0;
  peer.paused = peer.ended = false;
  peer.active = kernel_.now();
  const Strategy strategy = draw_strategy(random_, setup_.personality);
  trace("user: %llu starts as descriptor %d, %s", number(last_id_), peer.fd, name_of(strategy));
  try {
    receiver_->start(peer, peer.fd, strategy);
  } catch (const Error&) {
    trace("user: refused");
    close(peer);
  }
}

/// Stopped by name, or by the inflow's end; its descriptor may be another connection's at once.
void World::stop() {
  if (peers_.empty()) return;
  awake_ = true;
  Peer& peer = *peers_[random_.below(peers_.size())];
  trace("user: %llu is stopped%s", number(peer.file->id), peer.ended ? " after its end" : "");
  const bool by_name = random_.chance(50);
  if (by_name) receiver_->stop(peer);
  if (by_name && !peer.ended) close(peer);
  if (!by_name) remove(peer);
}

/// What turn() prepared is submitted first, as it may be of this file.
void World::close(Peer& peer) {
  kernel_.submit();
  kernel_.files().close(peer.fd);
  peer.ended = true;
}

void World::remove(Peer& peer) {
  const bool open = !peer.ended;
  const int fd = peer.fd;
  std::erase_if(peers_, [&](const auto& each) { return each.get() == &peer; });
  kernel_.submit();
  if (open) kernel_.files().close(fd);
}

void World::pause() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  awake_ = true;
  trace("user: %llu is paused", number(peer->file->id));
  peer->paused = true;
  receiver_->pause(*peer);
}

void World::resume() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  awake_ = true;
  trace("user: %llu is resumed", number(peer->file->id));
  if (std::exchange(peer->paused, false)) peer->active = kernel_.now();
  receiver_->resume(*peer);
}

// The user, on whichever thread: the loop does not notice.

void World::keep(Loan loan, std::uint64_t id, std::uint64_t at) { kept_.push_back({std::move(loan), id, at}); }

void World::drop(std::size_t index) {
  const Kept& kept = kept_[index];
  const std::size_t right = match_stream(kept.loan.bytes(), kept.id, kept.at);
  if (right < kept.loan.size()) {
    violate("connection %llu: byte %llu is not what was sent", number(kept.id), number(kept.at + right));
  }
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index));
}

void World::drop_one() {
  if (kept_.empty()) return;
  trace("user: drops one of %zu", kept_.size());
  drop(random_.below(kept_.size()));
}

void World::drop_all() {
  trace("user: drops all %zu", kept_.size());
  while (!kept_.empty()) drop(kept_.size() - 1);
}

/// Another part of the program uses the pool too.
void World::borrow() {
  const std::vector<std::uint32_t>& classes = setup_.options.classes;
  const std::uint32_t bytes = classes[random_.below(classes.size())];
  Loan loan = pool_.lend(bytes);
  trace("user: borrows %u bytes: %s", bytes, loan ? "yes" : "none");
  if (!loan) return;
  constexpr std::uint32_t kMarked = 64;
  loan.truncate(kMarked);
  const std::uint64_t id = ++last_id_;
  write_stream(loan.bytes(), id, 0);
  keep(std::move(loan), id, 0);
}

void World::borrow_all() {
  for (std::size_t before = SIZE_MAX; before != kept_.size();) {
    before = kept_.size();
    borrow();
  }
}

}  // namespace weir::sim
