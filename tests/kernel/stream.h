#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// The bytes that a connection carries: a stream for each `id`, so that one byte that is lost, doubled, misplaced or
// mixed up is seen at once.

namespace weir::testing {

inline std::byte stream_byte(std::uint64_t id, std::uint64_t at) {
  return static_cast<std::byte>(id * 131 + at * 7 + (at >> 8) * 13 + (at >> 16) * 29);
}

/// `bytes` of the stream from `at` on.
inline std::vector<std::byte> stream_bytes(std::uint64_t id, std::uint64_t at, std::size_t bytes) {
  std::vector<std::byte> text(bytes);
  std::byte* out = text.data();
  for (std::size_t i = 0; i < bytes; ++i) out[i] = stream_byte(id, at + i);
  return text;
}

/// How many of `text` are the stream's, from `at` on, before the first that is not.
inline std::size_t stream_match(std::uint64_t id, std::uint64_t at, std::span<const std::byte> text) {
  const std::byte* in = text.data();
  std::size_t i = 0;
  while (i < text.size() && in[i] == stream_byte(id, at + i)) ++i;
  return i;
}

}  // namespace weir::testing
