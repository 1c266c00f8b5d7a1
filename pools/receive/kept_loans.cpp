#include "receive/kept_loans.h"

#include <new>
#include <utility>

namespace weir::detail {

std::uint32_t KeptLoans::take_link() noexcept {
  if (free_ != kNone) return std::exchange(free_, links_[free_].next);
  try {
    links_.emplace_back();
  } catch (const std::bad_alloc&) {
    return kNone;
  }
  return static_cast<std::uint32_t>(links_.size() - 1);
}

bool KeptLoans::push(List& list, Loan&& loan) noexcept {
  Loan mine = std::move(loan);
  const std::uint32_t link = take_link();
  if (link == kNone) return false;
  const std::uint32_t first = list.empty() ? link : std::exchange(links_[list.last_].next, link);
  links_[link] = {std::move(mine), first};
  list.last_ = link;
  return true;
}

Loan KeptLoans::pop(List& list) noexcept {
  const std::uint32_t link = links_[list.last_].next;
  const std::uint32_t second = std::exchange(links_[link].next, std::exchange(free_, link));
  if (link == list.last_) {
    list.last_ = kNone;
  } else {
    links_[list.last_].next = second;
  }
  return std::move(links_[link].loan);
}

void KeptLoans::clear(List& list) noexcept {
  while (!list.empty()) const Loan dropped = pop(list);
}

}  // namespace weir::detail
