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
  links_[link] = {std::move(mine), kNone};
  if (list.empty()) {
    list.first_ = link;
  } else {
    links_[list.last_].next = link;
  }
  list.last_ = link;
  return true;
}

Loan KeptLoans::pop(List& list) noexcept {
  const std::uint32_t link = list.first_;
  list.first_ = std::exchange(links_[link].next, std::exchange(free_, link));
  return std::move(links_[link].loan);
}

void KeptLoans::clear(List& list) noexcept {
  while (!list.empty()) const Loan dropped = pop(list);
}

}  // namespace weir::detail
