#pragma once

#include <cstddef>
#include <cstdint>

#include "receive/size_costs.h"

namespace weir::detail {

/// Foretells the size of buffer that costs least for a connection's next receive. It counts the connection's arrivals
/// by their size, older ones less and less, and knows from SizeCosts what each size would have cost for them.
class Predictor {
 public:
  Predictor() = default;
  /// REQUIRES: `costs` outlives this.
  explicit Predictor(const SizeCosts& costs) noexcept;

  /// Bytes, one of the sizes.
  std::uint32_t predict() const noexcept { return costs_->bytes(size_); }
  /// A receive into a buffer of `capacity`, which may be any, brought so many bytes.
  /// REQUIRES: these are not 0.
  void observe(std::uint32_t bytes, std::uint32_t capacity) noexcept;

 private:
  void note_full(std::uint32_t bytes) noexcept;
  void note_arrival(std::uint32_t bytes) noexcept;
  void expect_more(std::uint32_t before, std::uint32_t received) noexcept;

  const SizeCosts* costs_ = nullptr;
  SizeCosts::Counts counts_{};
  float margin_ = 0;            ///< no other size is cheaper while this is not negative
  std::uint16_t received_ = 0;  ///< of an arrival that filled its buffers so far, in units of 64 bytes
  std::uint8_t first_ = 0;      ///< the size for the first receive of an arrival
  std::uint8_t size_ = 0;
};

static_assert(sizeof(Predictor) <= 32);

}  // namespace weir::detail
