#include <algorithm>

#include "options/strategies.h"
#include "sim/report.h"
#include "sim/world.h"

// What must hold in the simulated world after every step.

namespace weir::sim {
namespace {

unsigned long long number(std::uint64_t value) { return value; }

bool has_buffer(const io_uring_sqe& sqe) { return sqe.opcode == IORING_OP_RECV && sqe.addr != 0; }

bool is_last(const Completion& completion) { return (completion.flags & IORING_CQE_F_MORE) == 0; }

const Range* find(const std::vector<Range>& ranges, const std::byte* place) {
  const auto found = std::find_if(ranges.begin(), ranges.end(), [&](const Range& each) { return each.has(place); });
  return found != ranges.end() ? &*found : nullptr;
}

}  // namespace

void World::check() {
  check_hands();
  const Counts counts = pool_.counts();
  check_user(counts);
  check_kernel(counts);
  check_inflight();
  check_parked();
}

/// No memory is the kernel's and the user's, or twice the kernel's.
void World::check_hands() {
  std::vector<Range> all;
  for (const BufferGroup& each : kernel_.groups()) each.add_ranges(all);
  for (const Request& each : kernel_.requests()) {
    if (each.has_buffer()) all.push_back({each.buffer.data(), each.buffer.size()});
  }
  for (const io_uring_sqe* each : kernel_.queues().prepared()) {
    if (has_buffer(*each)) all.push_back({reinterpret_cast<const std::byte*>(each->addr), each->len});
  }
  for (const Completion& each : kernel_.queues().unseen()) {
    all.insert(all.end(), each.buffers.begin(), each.buffers.end());
  }
  for (const auto& each : peers_) {
    if (!each->ended) all.insert(all.end(), each->file->handed.begin(), each->file->handed.end());
  }
  for (const Kept& each : kept_) all.push_back({each.loan.data(), each.loan.size()});

  std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.data < b.data; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i - 1].data + all[i - 1].bytes > all[i].data || all[i - 1].data == all[i].data) {
      violate("a buffer is in two hands");
    }
  }
}

/// The law; and the pool counts as the user's what the user has or a receiver keeps for a connection.
void World::check_user(const Counts& counts) {
  if (!counts.law_holds()) violate("the law does not hold");

  std::vector<Range> being_filled;
  for (const BufferGroup& each : kernel_.groups()) {
    if (each.opened().data != nullptr) being_filled.push_back(each.opened());
  }
  for (const Completion& each : kernel_.queues().unseen()) {
    being_filled.insert(being_filled.end(), each.retired.begin(), each.retired.end());
  }
  std::uint64_t whole = 0;
  std::vector<Range> in_slices;
  const auto count = [&](const std::byte* place) {
    if (find(being_filled, place) != nullptr || find(in_slices, place) != nullptr) return;
    const Range* const retired = find(retired_, place);
    retired != nullptr ? in_slices.push_back(*retired) : void(++whole);
  };
  for (const Kept& each : kept_) count(each.loan.data());
  for (const auto& peer : peers_) {
    if (peer->ended) continue;
    for (const Range& each : peer->file->handed) count(each.data);
  }
  if (counts.user != whole + in_slices.size()) {
    violate("the user has %zu buffers, but %llu are counted", whole + in_slices.size(), number(counts.user));
  }
}

/// The pool counts as the kernel's what the kernel has, or has given back without anybody having seen it.
void World::check_kernel(const Counts& counts) {
  if (setup_.epoll) return;
  std::uint64_t in_rings = 0;
  for (const BufferGroup& each : kernel_.groups()) in_rings += each.count();
  std::uint64_t requested = 0;
  for (const Request& each : kernel_.requests()) requested += each.has_buffer();
  for (const io_uring_sqe* each : kernel_.queues().prepared()) requested += has_buffer(*each);
  for (const Completion& each : kernel_.queues().unseen()) {
    in_rings += each.slots;
    requested += (each.flags & IORING_CQE_F_BUFFER) == 0 && !each.buffers.empty();
  }
  if (counts.kernel_ring != in_rings) {
    violate("rings have %llu buffers, but %llu are counted", number(in_rings), number(counts.kernel_ring));
  }
  if (counts.kernel_request != requested) {
    violate("requests have %llu buffers, but %llu are counted", number(requested), number(counts.kernel_request));
  }
}

/// A receiver says that it has requests in flight while the kernel has some of it, and only then.
void World::check_inflight() {
  for (const auto& each : receivers_) {
    const std::size_t in_flight = in_flight_of(*each);
    if (!each->has_inflight() != (in_flight == 0)) {
      violate("%zu requests are in flight, and has_inflight() is %s", in_flight,
              each->has_inflight() ? "true" : "false");
    }
  }
}

std::size_t World::in_flight_of(const Receiver& receiver) {
  std::size_t in_flight = 0;
  const auto count = [&](std::uint64_t user_data) {
    io_uring_cqe cqe{};
    cqe.user_data = user_data;
    in_flight += receiver.owns(cqe);
  };
  for (const std::uint64_t each : kernel_.epoll().names()) {
    epoll_event event{};
    event.data.u64 = each;
    in_flight += receiver.owns(event);
  }
  for (const Request& each : kernel_.requests()) count(each.user_data);
  for (const io_uring_sqe* each : kernel_.queues().prepared()) count(each->user_data);
  for (const Completion& each : kernel_.queues().unseen()) {
    if (is_last(each)) count(each.user_data);
  }
  return in_flight;
}

/// A turn wakes no more of those that are parked than there are buffers, as far as the receiver knows: the others would
/// only fail again, and lose their places.
void World::check_wakes() {
  std::unordered_map<unsigned, std::size_t> armed;
  for (const io_uring_sqe* each : kernel_.queues().prepared()) {
    const bool picks = each->opcode == IORING_OP_RECV && (each->flags & IOSQE_BUFFER_SELECT) != 0 &&
                       (each->ioprio & IORING_RECVSEND_POLL_FIRST) == 0;
    const std::shared_ptr<File> file = picks ? kernel_.at(each->fd) : nullptr;
    const auto waits = [&](const auto& peer) { return peer->file == file && peer->parked; };
    if (file == nullptr || std::none_of(peers_.begin(), peers_.end(), waits)) continue;
    trace("user: %llu is tried again", number(file->id));
    ++armed[each->buf_group];
  }
  std::size_t unseen = 0;
  for (const Completion& each : kernel_.queues().unseen()) unseen += each.slots;
  for (const BufferGroup& each : kernel_.groups()) {
    const auto found = armed.find(each.id());
    if (found != armed.end() && found->second > each.count() + unseen) {
      violate("%zu that are parked are woken for %zu buffers", found->second, each.count() + unseen);
    }
  }
}

/// It has data, is wanted, and nothing is under way for it. To be asked after a turn.
bool World::is_parked(const Peer& peer) {
  if (peer.ended || peer.paused || !peer.file->has_data() || !peer.file->handed.empty()) return false;
  const auto same = [&](const auto& each) { return each.file == peer.file; };
  return !kernel_.epoll().watches(*peer.file) &&
         std::none_of(kernel_.requests().begin(), kernel_.requests().end(), same) &&
         std::none_of(kernel_.queues().unseen().begin(), kernel_.queues().unseen().end(), same);
}

/// From when it is parked, the others may take what the kernel has for them, and no more until it has had a buffer.
void World::note_parked() {
  std::vector<Peer*> fresh;
  for (const auto& each : peers_) {
    if (each->parked || !is_parked(*each)) continue;
    if (each->receiver->parked() > 0) {
      fresh.push_back(each.get());
    } else if (!is_late(*each)) {
      violate("connection %llu has data and is forgotten", number(each->file->id));
    }
  }
  for (Peer* each : fresh) {
    trace("user: %llu is parked", number(each->file->id));
    each->parked = true;
    each->taken_before = each->file->taken;
    each->starved_before = each->file->starved;
  }
  for (Peer* first : fresh) {
    first->allowed.clear();
    for (const auto& each : peers_) first->allowed[each->file->id] = each->file->buffers + may_still_take(*each);
  }
}

/// How many buffers are there for it already: its own, its ring's, or the one that it is parked for. One that was
/// parked when it was paused keeps its place in the line, of which nothing is seen until it is resumed. A lazy ring is
/// given one for each of those that are parked, which others of the ring may be faster to take.
std::uint64_t World::may_still_take(const Peer& peer) const {
  const bool kept = peer.paused && peer.keeps_place;
  const std::uint64_t in_line = kept || peer.file->taken == peer.taken_before ? 1 : 0;
  const auto has_own = [&](const Request& each) { return each.has_buffer() && each.file == peer.file; };
  if (setup_.epoll || std::any_of(kernel_.requests().begin(), kernel_.requests().end(), has_own)) return 1;
  std::uint64_t in_rings = 0;
  for (const BufferGroup& each : kernel_.groups()) in_rings += each.count();
  const auto is_lazy = [](Strategy each) { return each != Strategy::automatic && detail::facts_of(each).lazy; };
  const bool lazy = std::any_of(setup_.strategies.begin(), setup_.strategies.end(), is_lazy);
  return in_line + in_rings + (lazy ? peers_.size() : 0);
}

/// Nobody finds no buffer time after time, and nobody is served before those that wait for longer.
void World::check_parked() {
  constexpr unsigned kMostTries = 20;
  for (const auto& each : peers_) {
    if (each->ended || each->file->starved <= kMostTries) continue;
    violate("connection %llu was tried %u times and found no buffer", number(each->file->id), each->file->starved);
  }
  for (const auto& first : peers_) {
    const bool served = kernel_.epoll().watches(*first->file) || first->file->taken != first->taken_before;
    const bool tried = first->file->starved != first->starved_before;
    if (first->ended || first->paused || served || tried) first->parked = false;
    if (!first->parked) continue;
    for (const auto& each : peers_) {
      const auto allowed = first->allowed.find(each->file->id);
      const bool ours = each->receiver == first->receiver && !each->ended && allowed != first->allowed.end();
      if (ours && each->file->buffers > allowed->second) {
        violate("connection %llu is served before %llu, which is parked", number(each->file->id),
                number(first->file->id));
      }
    }
  }
}

void World::check_pool() const {
  if (const std::string problem = pool_.check_all(); !problem.empty()) violate("%s", problem.c_str());
  std::size_t bytes = 0;
  for (const Grade& each : pool_.grades()) bytes += each.bytes;
  if (bytes > setup_.options.max_bytes) violate("the pool mapped %zu bytes, more than its budget", bytes);
}

}  // namespace weir::sim
