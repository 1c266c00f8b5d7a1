#include <weir/error.h>

#include <algorithm>
#include <utility>

#include "sim/report.h"
#include "sim/stream.h"
#include "sim/world.h"

// What the user and the far ends do in the simulated world.

namespace weir::sim {
namespace {

using std::chrono::milliseconds;

unsigned long long number(std::uint64_t value) { return value; }

}  // namespace

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
  peer->file->note_coming(kernel_.now());
  peer->file->arrived += bytes;
  trace("far: %llu sends %zu", number(peer->file->id), bytes);
  kernel_.run_unasked();
}

void World::finish() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  peer->file->note_coming(kernel_.now());
  peer->file->finished = true;
  trace("far: %llu sends no more", number(peer->file->id));
  kernel_.run_unasked();
}

void World::reset_far() {
  Peer* const peer = some_peer();
  if (peer == nullptr || peer->file->finished) return;
  peer->file->note_coming(kernel_.now());
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

// On the loop's own thread.

/// A handler takes its time, or the machine does: the others speak meanwhile.
void World::stall() {
  const milliseconds half(random_.between(1, setup_.options.deadline_ms));
  trace("clock: %lld ms in a batch", static_cast<long long>((2 * half).count()));
  kernel_.pass(half);
  for (std::size_t left = random_.below(4); left > 0; --left) speak();
  kernel_.pass(half);
}

void World::open() {
  awake_ = true;
  const auto ended = std::find_if(peers_.begin(), peers_.end(), [](const auto& each) { return each->ended; });
  if (ended != peers_.end()) {
    start(**ended);
  } else if (peers_.size() < setup_.most_connections) {
    start(*peers_.emplace_back(std::make_unique<Peer>()));
  }
}

void World::start(Peer& peer) {
  peer.file = std::make_shared<File>(File{.id = ++last_id_});
  peer.fd = kernel_.open(peer.file);
  peer.receiver = receivers_[random_.below(receivers_.size())].get();
  peer.strategy = setup_.strategies[random_.below(setup_.strategies.size())];
  peer.received = 0;
  peer.paused = peer.ended = peer.parked = peer.was_late = false;
  peer.taken_before = UINT64_MAX;
  peer.active = kernel_.now();
  trace("user: %llu starts as descriptor %d, %s", number(last_id_), peer.fd, name_of(peer.strategy));
  try {
    peer.receiver->start(peer, peer.fd, peer.strategy);
  } catch (const Error& error) {
    trace("user: refused: %s", error.what());
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
  if (by_name) peer.receiver->stop(peer);
  if (by_name && !peer.ended) close(peer);
  if (!by_name) remove(peer);
}

/// What turn() prepared is submitted first, as it may be of this file.
void World::close(Peer& peer) {
  kernel_.submit();
  kernel_.close(peer.fd);
  peer.ended = true;
  forget_retired();
}

void World::remove(Peer& peer) {
  const bool open = !peer.ended;
  const int fd = peer.fd;
  std::erase_if(peers_, [&](const auto& each) { return each.get() == &peer; });
  kernel_.submit();
  if (open) kernel_.close(fd);
  forget_retired();
}

void World::pause() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  awake_ = true;
  trace("user: %llu is paused", number(peer->file->id));
  peer->was_late = is_late(*peer);
  peer->keeps_place = peer->parked || is_parked(*peer);
  peer->paused = true;
  peer->file->starved = 0;
  peer->receiver->pause(*peer);
}

void World::resume() {
  Peer* const peer = some_peer();
  if (peer == nullptr) return;
  awake_ = true;
  trace("user: %llu is resumed", number(peer->file->id));
  if (std::exchange(peer->paused, false)) peer->active = kernel_.now();
  peer->receiver->resume(*peer);
}

// On whichever thread: the loop does not notice.

void World::drop(std::size_t index) {
  const Kept& kept = kept_[index];
  const std::size_t right = match_stream(kept.loan.bytes(), kept.id, kept.at);
  if (right < kept.loan.size()) {
    violate("connection %llu: byte %llu is not what was sent", number(kept.id), number(kept.at + right));
  }
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index));
  forget_retired();
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
  (void)borrow(classes[random_.below(classes.size())]);
}

void World::borrow_all() {
  const std::vector<std::uint32_t>& classes = setup_.options.classes;
  for (auto bytes = classes.rbegin(); bytes != classes.rend(); ++bytes) {
    while (borrow(*bytes)) continue;
  }
}

bool World::borrow(std::uint32_t bytes) {
  constexpr std::uint32_t kMarked = 64;
  Loan loan = pool_.lend(bytes);
  trace("user: borrows %u bytes: %s", bytes, loan ? "yes" : "none");
  if (!loan) return false;
  loan.truncate(kMarked);
  write_stream(loan.bytes(), ++last_id_, 0);
  kept_.push_back({std::move(loan), last_id_, 0});
  return true;
}

}  // namespace weir::sim
