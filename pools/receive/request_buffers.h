#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "slab/pool_state.h"

namespace weir::detail {

/// The loans that the kernel has with a receiver's requests, at most one a connection.
class RequestBuffers final : public KernelHolder {
 public:
  explicit RequestBuffers(PoolState& pool);
  /// REQUIRES: count() is 0.
  ~RequestBuffers();
  RequestBuffers(const RequestBuffers&) = delete;
  RequestBuffers& operator=(const RequestBuffers&) = delete;

  /// Room for so many connections. Throws std::bad_alloc.
  void make_room(std::size_t connections) { held_.resize(connections); }
  /// The loan is the kernel's from now on. REQUIRES: the connection has none there.
  void submit(std::uint32_t connection, Loan&& loan) noexcept;
  /// It comes back, whole. REQUIRES: the request has ended.
  Loan finish(std::uint32_t connection) noexcept;
  /// The size of its loan; 0 where it has none.
  std::uint32_t bytes(std::uint32_t connection) const noexcept { return held_[connection].size; }
  std::size_t count() const noexcept { return count_; }

  void visit_held(const std::function<void(std::byte*)>& visit) const override;

 private:
  PoolState& pool_;
  std::vector<LoanParts> held_;  ///< by connection; without data where the kernel has none
  std::size_t count_ = 0;
};

}  // namespace weir::detail
