#include <weir/receiver.h>

#include "receive/receiver_state.h"

namespace weir {

Inflow::~Inflow() {
  if (receiver_ != nullptr && !detail::is_fork_child()) receiver_->stop(*this);
}

Receiver::Receiver(Pool& pool, io_uring& ring, std::uint16_t group)
    : state_(std::make_unique<detail::ReceiverState>(pool, ring, group)) {}

Receiver::Receiver(Pool& pool, Epoll epoll, std::uint16_t group)
    : state_(std::make_unique<detail::ReceiverState>(pool, epoll, group)) {}

Receiver::~Receiver() {
  if (detail::is_fork_child())
    (void)state_.release();  // NOLINT(bugprone-unused-return-value): all of it is the parent's
}

void Receiver::start(Inflow& inflow, int fd, Strategy strategy) { state_->start(inflow, fd, strategy); }

void Receiver::pause(Inflow& inflow) noexcept { state_->want(inflow, false); }

void Receiver::resume(Inflow& inflow) noexcept { state_->want(inflow, true); }

void Receiver::stop(Inflow& inflow) noexcept { state_->stop(inflow); }

bool Receiver::owns(const io_uring_cqe& cqe) const noexcept { return state_->owns(cqe.user_data); }

bool Receiver::owns(const epoll_event& event) const noexcept { return state_->owns(event.data.u64); }

Receiver::Delivery Receiver::accept(const io_uring_cqe& cqe) noexcept { return state_->accept(cqe); }

Receiver::Delivery Receiver::accept(const epoll_event& event) noexcept { return state_->accept(event); }

Receiver::Delivery Receiver::next() noexcept { return state_->next(); }

bool Receiver::turn() noexcept { return state_->turn(); }

std::chrono::steady_clock::time_point Receiver::next_deadline() const noexcept { return state_->next_deadline(); }

std::size_t Receiver::parked() const noexcept { return state_->parked(); }

void Receiver::stop_all() noexcept { state_->stop_all(); }

bool Receiver::has_inflight() const noexcept { return state_->has_inflight(); }

}  // namespace weir
