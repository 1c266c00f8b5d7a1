#include "sim/queues.h"

#include <utility>

#include "sim/report.h"

namespace weir::sim {

Queues::Queues(unsigned submissions, unsigned completions, unsigned flags)
    : order_(submissions), sqes_(submissions), cqes_(completions) {
  submission_.entries = submissions;
  submission_.mask = submissions - 1;
  completion_.entries = completions;
  completion_.mask = completions - 1;
  for (unsigned i = 0; i < submissions; ++i) order_[i] = i;
  ring_.flags = flags;
  ring_.ring_fd = ring_.enter_ring_fd = -1;
  ring_.features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  ring_.sq.khead = &submission_.head;
  ring_.sq.ktail = &submission_.tail;
  ring_.sq.kring_mask = &submission_.mask;
  ring_.sq.kring_entries = &submission_.entries;
  ring_.sq.kflags = &submission_.flags;
  ring_.sq.kdropped = &submission_.lost;
  ring_.sq.array = order_.data();
  ring_.sq.sqes = sqes_.data();
  ring_.sq.ring_mask = submission_.mask;
  ring_.sq.ring_entries = submission_.entries;
  ring_.cq.khead = &completion_.head;
  ring_.cq.ktail = &completion_.tail;
  ring_.cq.kring_mask = &completion_.mask;
  ring_.cq.kring_entries = &completion_.entries;
  ring_.cq.kflags = &completion_.flags;
  ring_.cq.koverflow = &completion_.lost;
  ring_.cq.cqes = cqes_.data();
  ring_.cq.ring_mask = completion_.mask;
  ring_.cq.ring_entries = completion_.entries;
}

std::vector<io_uring_sqe> Queues::take_submissions() {
  std::vector<io_uring_sqe> taken;
  for (const io_uring_sqe* each : prepared()) taken.push_back(*each);
  submission_.head = submission_.tail = ring_.sq.sqe_head = ring_.sq.sqe_tail;
  return taken;
}

std::vector<const io_uring_sqe*> Queues::prepared() const {
  std::vector<const io_uring_sqe*> all;
  for (unsigned at = submission_.head; at != ring_.sq.sqe_tail; ++at) all.push_back(&sqes_[at & submission_.mask]);
  return all;
}

bool Queues::full() const {
  return completion_.tail - completion_.head == completion_.entries || shown_ < unseen_.size();
}

void Queues::post(Completion completion) {
  forget_seen();
  const bool kept_back = full();
  unseen_.push_back(std::move(completion));
  if (kept_back) {
    submission_.flags |= IORING_SQ_CQ_OVERFLOW;
  } else {
    show(unseen_.back());
  }
}

void Queues::flush() {
  forget_seen();
  while (shown_ < unseen_.size() && completion_.tail - completion_.head < completion_.entries) {
    show(unseen_[shown_]);
  }
  if (shown_ == unseen_.size()) submission_.flags &= ~static_cast<unsigned>(IORING_SQ_CQ_OVERFLOW);
}

void Queues::show(const Completion& completion) {
  io_uring_cqe& place = cqes_[completion_.tail & completion_.mask];
  place.user_data = completion.user_data;
  place.res = completion.result;
  place.flags = completion.flags;
  ++completion_.tail;
  ++shown_;
}

const std::deque<Completion>& Queues::unseen() {
  forget_seen();
  return unseen_;
}

void Queues::forget_seen() {
  const unsigned seen = completion_.head - seen_until_;
  if (seen > shown_) violate("%u completions are marked as seen, where %u were shown", seen, shown_);
  unseen_.erase(unseen_.begin(), unseen_.begin() + seen);
  shown_ -= seen;
  seen_until_ = completion_.head;
}

}  // namespace weir::sim
