#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::base {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;
inline constexpr std::size_t kHugePage = 2 * kMiB;
inline constexpr std::size_t kSmallPage = 4 * kKiB;

constexpr std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

/// "4096", "64k", "2m", "1g" (also "64K", "64KiB", "64kb": always powers of 1024). Empty when it is none of these or
/// does not fit 64 bits.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// All of it, as parse_size() takes it: "64k" where that is no less, else "65537".
std::string size_text(std::uint64_t bytes);

/// "512 B", "64 KiB", "1.5 MiB".
std::string format_size(std::uint64_t bytes);

}  // namespace weir::base
