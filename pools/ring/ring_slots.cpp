#include "ring/ring_slots.h"

#include <weir/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "base/fatal.h"
#include "base/units.h"
#include "cache/slices.h"
#include "cache/threads.h"
#include "os/kernel_numbers.h"
#include "os/segment_file.h"
#include "os/uring.h"

namespace weir::detail {
namespace {

std::uint32_t checked_entries(std::uint32_t entries) {
  if (std::has_single_bit(entries) && entries <= kMaxRingEntries) return entries;
  throw Error(EINVAL, "a buffer ring of " + std::to_string(entries) +
                          " entries: it takes a power of two from 1 to 32768 (WEIR_RING_ENTRIES)");
}

std::uint16_t checked_group(std::uint16_t group) {
  if (group >= BufferRing::kLeastGroup) return group;
  throw Error(EINVAL,
              "buffer group " + std::to_string(group) + ": take one from 64 up (Linux 6.1 corrupts lower ones)");
}

RingRecord* take_ring_record() {
  RingRecord* record = take_record(segment().rings);
  if (record == nullptr) throw Error(EMFILE, "this process has 512 buffer rings already");
  return record;
}

/// Where the tool sees which buffers the ring holds.
std::span<std::byte*> place_of_buffers(const RingRecord& record, std::uint32_t entries) {
  const auto index = static_cast<std::size_t>(&record - segment().rings.data());
  const std::span<std::byte*> place = std::span(segment().ring_buffers[index]).first(entries);
  const int error = os::populate_segment(place.data(), place.size_bytes());
  if (error != 0) {
    throw Error(-error, std::string("no memory for what is noted of a buffer ring: ") + std::strerror(-error) +
                            "; lower WEIR_RING_ENTRIES, or free memory");
  }
  std::fill(place.begin(), place.end(), nullptr);
  return place;
}

[[noreturn]] void refuse_registration(int error, std::uint16_t group, Fill fill) {
  const std::string what = "cannot register buffer group " + std::to_string(group) + ": ";
  if (error == -EEXIST) throw Error(EEXIST, what + "the io_uring has a ring of that number, or another thread owns it");
  if (error == -EINVAL && fill == Fill::slices)
    throw Error(EINVAL, what + "incremental buffer rings need Linux 6.12 or newer; set WEIR_RECV=ring");
  if (error == -EINVAL) throw Error(EINVAL, what + "buffer rings need Linux 5.19 or newer");
  if (error == -EPERM || error == -EACCES)
    throw Error(-error, what + "io_uring_register is forbidden here: allow it in the seccomp profile");
  throw Error(-error, what + "the kernel refused; if memory is short, raise `ulimit -l`");
}

}  // namespace

std::size_t receive_class(const PoolState& pool, std::uint32_t bytes) {
  const std::size_t index = pool.classes().index_for(bytes);
  if (index == pool.classes().count()) {
    throw Error(EINVAL, "no size class of the pool holds " + std::to_string(bytes) +
                            " bytes: lower WEIR_RECV_BYTES or add a class to WEIR_CLASSES");
  }
  return index;
}

RingMemory::RingMemory(PoolState& pool, std::size_t bytes)
    : pool_(pool), bytes_(bytes), memory_(pool.take_pages(bytes)) {
  if (memory_ == nullptr) {
    throw Error(ENOMEM, "the pool has no memory left for a buffer ring of " + base::format_size(bytes) +
                            ": raise WEIR_BYTES, or lower WEIR_RING_ENTRIES");
  }
}

RingMemory::~RingMemory() { pool_.give_pages(memory_, bytes_); }

RingSlots::RingSlots(PoolState& pool, io_uring& ring, std::uint16_t group, std::uint32_t entries,
                     std::uint32_t buffer_bytes, Fill fill)
    : pool_(pool),
      ring_(ring),
      group_(checked_group(group)),
      entries_(checked_entries(entries)),
      depot_(pool.home_depot(receive_class(pool, buffer_bytes))),
      memory_(pool, entries * sizeof(io_uring_buf)),
      record_(take_ring_record()),
      fill_(fill),
      held_(place_of_buffers(*record_, entries)),
      place_of_(entries),
      bid_at_(entries),
      sliced_(fill == Fill::slices ? entries : 0) {
  empty_.reserve(entries);
  for (std::uint32_t bid = entries; bid > 0; --bid) empty_.push_back(static_cast<std::uint16_t>(bid - 1));
  const int error = enroll();
  if (error != 0) refuse_registration(error, group_, fill_);
  describe();
  pool_.add_holder(*this);
}

/// The record is live already, and Pool::counts() reads of which lane it is.
void RingSlots::describe() {
  const std::lock_guard lock(registry_mutex());
  record_->lane = depot_.lane_index();
  record_->entries = entries_;
  record_->group = group_;
}

RingSlots::~RingSlots() {
  pool_.remove_holder(*this);
  bring_home();
  // What the ring counted goes on counting when its record is gone, and Pool::counts() sees it in one of the two
  // places.
  const std::lock_guard lock(registry_mutex());
  const std::uint64_t claimed = record_->claimed.exchange(0, std::memory_order_relaxed);
  depot_.record().lends.fetch_add(claimed, std::memory_order_relaxed);
  depot_.record().ring_lends.fetch_add(claimed, std::memory_order_relaxed);
  depot_.record().drops.fetch_add(record_->provided.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
}

int RingSlots::enroll() noexcept {
  if (registered_) return 0;
  io_uring_buf_ring_init(memory_.get());
  tail_ = 0;
  const int error = os::register_buffer_ring(ring_, memory_.get(), entries_, group_, fill_ == Fill::slices);
  registered_ = error == 0;
  return error;
}

int RingSlots::unregister() noexcept {
  if (!registered_) return 0;
  const int error = os::unregister_buffer_ring(ring_, group_);
  registered_ = error != 0;
  return error;
}

void RingSlots::withdraw() noexcept {
  if (unregister() != 0) return;
  bring_home();
  (void)enroll();
}

void RingSlots::bring_home() noexcept {
  for (std::size_t bid = 0; bid < sliced_.size(); ++bid) {
    if (std::exchange(sliced_[bid], 0) > 0) drop_slice(vacate(static_cast<std::uint16_t>(bid)));
  }
  std::array<std::byte*, 64> batch;
  std::size_t count = 0;
  for (std::uint32_t bid = 0; bid < entries_; ++bid) {
    if (held_[bid] == nullptr) continue;
    guard_withdraw(held_[bid], depot_.lane());
    if (const LoanTracker* tracker = depot_.tracker())
      tracker->scrub(held_[bid], depot_.bytes());  // the kernel may have written
    batch[count++] = std::exchange(held_[bid], nullptr);
    empty_.push_back(static_cast<std::uint16_t>(bid));
    if (count == batch.size()) depot_.give(std::span(batch).first(std::exchange(count, 0)));
  }
  depot_.give(std::span(batch).first(count));
  publish_filled();
}

void RingSlots::fill(std::span<std::byte* const> buffers) noexcept {
  const int mask = io_uring_buf_ring_mask(entries_);
  int offset = 0;
  for (std::byte* buffer : buffers) {
    const std::uint16_t bid = empty_.back();
    empty_.pop_back();
    held_[bid] = buffer;
    probe::provide(buffer, group_, bid);
    const auto place = static_cast<std::uint16_t>((tail_ + offset) & mask);
    place_of_[bid] = place;
    bid_at_[place] = bid;
    io_uring_buf_ring_add(memory_.get(), buffer, depot_.bytes(), bid, mask, offset++);
  }
}

void RingSlots::advance(std::size_t count) noexcept {
  io_uring_buf_ring_advance(memory_.get(), static_cast<int>(count));
  tail_ = static_cast<std::uint16_t>(tail_ + count);
  publish_filled();
}

void RingSlots::publish_filled() noexcept { record_->filled.store(filled(), std::memory_order_relaxed); }

bool RingSlots::provide(Loan& loan) noexcept {
  if (empty_.empty() || !loan || LoanParts::lane_of(loan) != depot_.lane() || enroll() != 0) return false;
  std::byte* const buffer = LoanParts::take(std::move(loan)).data;
  probe::drop(buffer);
  guard_drop(buffer, depot_.lane());
  if (LoanTracker* tracker = depot_.tracker()) tracker->on_drop(buffer, depot_.bytes());
  fill({&buffer, 1});
  add_alone(record_->provided, 1);
  advance(1);
  return true;
}

std::size_t RingSlots::take(std::span<std::byte*> out) noexcept {
  Magazine* magazine = own_magazine(depot_);
  return magazine != nullptr ? depot_.take_with(*magazine, out) : depot_.take(out);
}

std::uint32_t RingSlots::replenish(std::uint32_t wanted) noexcept {
  std::array<std::byte*, 64> batch;
  while (filled() < wanted && enroll() == 0) {
    const std::size_t want = std::min<std::size_t>(batch.size(), wanted - filled());
    const std::size_t got = take(std::span(batch).first(want));
    fill(std::span(batch).first(got));
    advance(got);
    if (got == 0 && (filled() > 0 || !pool_.reclaim(depot_))) break;
  }
  return filled();
}

Loan RingSlots::claim(const io_uring_cqe& cqe) noexcept {
  const auto bid = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  const auto bytes = static_cast<std::uint32_t>(std::max(cqe.res, 0));
  check_held(bid);
  if (fill_ == Fill::slices) return claim_slice(bid, bytes, (cqe.flags & os::kernel::kCqeBufferMore) != 0);
  return claim_whole(bid, std::min(bytes, depot_.bytes()));
}

Loan RingSlots::claim_next(std::uint16_t& bid, std::uint32_t bytes) noexcept {
  bid = bid_at_[(place_of_[bid] + 1U) & (entries_ - 1)];
  check_held(bid);
  return claim_whole(bid, std::min(bytes, depot_.bytes()));
}

void RingSlots::check_held(std::uint16_t bid) const noexcept {
  if (bid < entries_ && held_[bid] != nullptr) return;
  base::fatal("group %u: the kernel returned buffer id %u, which it does not hold: was a completion claimed twice?",
              group_, bid);
}

std::byte* RingSlots::vacate(std::uint16_t bid) noexcept {
  std::byte* const buffer = std::exchange(held_[bid], nullptr);
  empty_.push_back(bid);
  add_alone(record_->claimed, 1);
  publish_filled();
  return buffer;
}

Loan RingSlots::claim_whole(std::uint16_t bid, std::uint32_t bytes) noexcept {
  std::byte* const buffer = vacate(bid);
  probe::claim(buffer, depot_.bytes());
  guard_claim(buffer, depot_.lane());
  if (LoanTracker* tracker = depot_.tracker()) tracker->on_lend(buffer, depot_.bytes());
  return LoanParts{buffer, depot_.lane(), bytes}.join();
}

/// The kernel writes the address and length in the ring's entry on: where it was is only known here.
Loan RingSlots::claim_slice(std::uint16_t bid, std::uint32_t bytes, bool more) noexcept {
  std::byte* const buffer = held_[bid];
  std::uint32_t& sliced = sliced_[bid];
  if (bytes > depot_.bytes() - sliced) base::fatal("group %u: the kernel overran buffer id %u", group_, bid);
  if (sliced == 0) {
    guard_claim(buffer, depot_.lane());
    if (LoanTracker* tracker = depot_.tracker()) tracker->on_lend(buffer, depot_.bytes());
    hold_slices(pool_.map(), buffer);
  }
  probe::claim(buffer + sliced, bytes);
  Loan slice = make_slice(pool_.map(), buffer, buffer + sliced, bytes);
  sliced += bytes;
  if (!more) {
    sliced = 0;
    drop_slice(vacate(bid));
  }
  return slice;
}

void RingSlots::visit_held(const std::function<void(std::byte*)>& visit) const {
  for (std::byte* buffer : held_) {
    if (buffer != nullptr) visit(buffer);
  }
}

void end_ring(std::unique_ptr<RingSlots> slots) noexcept {
  if (!is_fork_child()) {
    const int error = slots->unregister();
    if (error == 0 || error == -EINVAL) return;  // -EINVAL: there is no such ring
    base::warn(
        "group %u: the kernel does not give the buffer ring back (%s), so %u buffers are lost to the pool: destroy it "
        "on "
        "the io_uring's own thread, and before the io_uring",
        slots->group(), std::strerror(-error), slots->filled());
    slots->abandon();
  }
  (void)slots.release();  // NOLINT(bugprone-unused-return-value): the kernel may still write there
}

}  // namespace weir::detail
