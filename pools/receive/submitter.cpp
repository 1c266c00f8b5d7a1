#include "receive/submitter.h"

#include <weir/receiver.h>

namespace weir::detail {
namespace {

constexpr unsigned kGenerationShift = 24;
constexpr unsigned kKindShift = 36;
constexpr unsigned kNumberShift = 40;
constexpr unsigned kOwnerShift = 56;

}  // namespace

std::uint64_t Submitter::user_data(RequestId id) const noexcept {
  return Receiver::kOwner << kOwnerShift | std::uint64_t{number_} << kNumberShift |
         static_cast<std::uint64_t>(id.kind) << kKindShift | std::uint64_t{id.generation} << kGenerationShift |
         id.connection;
}

bool Submitter::owns(std::uint64_t user_data) const noexcept {
  return user_data >> kNumberShift == (Receiver::kOwner << (kOwnerShift - kNumberShift) | number_);
}

RequestId Submitter::id_of(std::uint64_t user_data) noexcept {
  return {.kind = static_cast<Kind>(user_data >> kKindShift & 0xf),
          .generation = static_cast<std::uint16_t>(user_data >> kGenerationShift & (kGenerations - 1)),
          .connection = static_cast<std::uint32_t>(user_data & (kMostConnections - 1))};
}

}  // namespace weir::detail
