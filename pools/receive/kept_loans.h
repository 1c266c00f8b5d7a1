#pragma once

#include <weir/loan.h>

#include <cstdint>
#include <vector>

namespace weir::detail {

/// Loans that were received for connections that want none just now: each has a list, first-in first-out. They share
/// the memory for the links.
class KeptLoans {
 public:
  class List {
   public:
    bool empty() const noexcept { return last_ == kNone; }

   private:
    friend class KeptLoans;
    std::uint32_t last_ = kNone;  ///< its link's next is the first
  };

  /// False, and the loan is dropped, when there is no memory for its link.
  bool push(List& list, Loan&& loan) noexcept;
  /// REQUIRES: it is not empty.
  Loan pop(List& list) noexcept;
  void clear(List& list) noexcept;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Link {
    Loan loan;
    std::uint32_t next = kNone;
  };

  std::uint32_t take_link() noexcept;

  std::vector<Link> links_;
  std::uint32_t free_ = kNone;
};

}  // namespace weir::detail
