#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// The bytes of each connection are a stream of its own, so that what is lost, doubled, misplaced or mixed up is seen.

namespace weir::sim {

/// Writes the stream of `id` from position `at` on.
void write_stream(std::span<std::byte> bytes, std::uint64_t id, std::uint64_t at);
/// How many of the bytes, from the first on, are the stream's.
std::size_t match_stream(std::span<const std::byte> bytes, std::uint64_t id, std::uint64_t at);

}  // namespace weir::sim
