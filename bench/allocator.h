#pragma once

#include <concepts>
#include <cstddef>
#include <span>

namespace bench {

/// What a workload will ask an allocator for. Those that need no warning ignore it.
struct Plan {
  std::size_t least = 0;  ///< smallest buffer
  std::size_t most = 0;   ///< largest buffer
  std::size_t bytes = 0;  ///< of memory, with room to spare
  bool fine = false;      ///< sizes between powers of two are asked for
};

/// Lends buffers of a given size and takes them back, from any thread that holds a Guest. A Buffer that is moved from
/// or default made is empty.
template <typename A>
concept Allocator = std::constructible_from<A, const Plan&> && std::default_initializable<typename A::Guest> &&
    std::movable<typename A::Buffer> &&
    requires(A allocator, typename A::Buffer buffer, std::span<typename A::Buffer> many) {
  { allocator.take(std::size_t{}) } -> std::same_as<typename A::Buffer>;
  allocator.give(buffer);
  allocator.take_many(std::size_t{}, many);
  allocator.give_many(many);
  { A::data(buffer) } -> std::convertible_to<void*>;
  { allocator.unused_bytes() } -> std::same_as<std::size_t>;
};

/// An allocator that looks a size up once: `lane(bytes)` gives something with take() alone.
template <typename A>
concept HasLanes = requires(A allocator) {
  allocator.lane(std::size_t{}).take();
};

/// For allocators that know no bulk.
template <typename A>
void take_each(A& allocator, std::size_t bytes, std::span<typename A::Buffer> many) {
  for (auto& buffer : many) buffer = allocator.take(bytes);
}
template <typename A>
void give_each(A& allocator, std::span<typename A::Buffer> many) {
  for (auto& buffer : many) allocator.give(buffer);
}

}  // namespace bench
