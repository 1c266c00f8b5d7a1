#include "sim/stream.h"

#include <algorithm>
#include <array>

#include "sim/random.h"

namespace weir::sim {
namespace {

constexpr std::size_t kPeriod = std::size_t{64} * 1024;
constexpr std::uint64_t kApart = 40'503;  // between the streams of two connections

const std::array<std::byte, kPeriod>& noise() {
  static const auto bytes = [] {
    std::array<std::byte, kPeriod> made{};
    Random random(0);
    for (std::byte& each : made) each = static_cast<std::byte>(random.next());
    return made;
  }();
  return bytes;
}

/// The longest piece of the stream from there on, up to `most`, that lies in the noise in one piece.
std::span<const std::byte> piece(std::uint64_t id, std::uint64_t at, std::size_t most) {
  const std::size_t from = (id * kApart + at) % kPeriod;
  return std::span(noise()).subspan(from, std::min(most, kPeriod - from));
}

/// Where no program may write, in a checked build.
__attribute__((no_sanitize("address"))) void write_as_kernel(std::span<const std::byte> from, std::byte* to) {
  const std::byte* const data = from.data();
  for (std::size_t i = 0, count = from.size(); i < count; ++i) to[i] = data[i];
}

}  // namespace

void write_stream(std::span<std::byte> bytes, std::uint64_t id, std::uint64_t at) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto next = piece(id, at + done, bytes.size() - done);
    write_as_kernel(next, bytes.data() + done);
    done += next.size();
  }
}

std::size_t match_stream(std::span<const std::byte> bytes, std::uint64_t id, std::uint64_t at) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto next = piece(id, at + done, bytes.size() - done);
    const auto part = bytes.subspan(done, next.size());
    if (!std::equal(part.begin(), part.end(), next.begin())) {
      return done +
             static_cast<std::size_t>(std::mismatch(part.begin(), part.end(), next.begin()).first - part.begin());
    }
    done += next.size();
  }
  return bytes.size();
}

}  // namespace weir::sim
