#include <cstdlib>

#include "main.h"

namespace {

/// malloc and free of the C library, or of whatever LD_PRELOAD puts in its place.
class Malloc {
 public:
  using Buffer = void*;
  struct Guest {};
  static constexpr bool kBulk = false;

  explicit Malloc(const bench::Plan&) {}

  static Buffer take(std::size_t bytes) noexcept { return std::malloc(bytes); }
  static void give(Buffer& buffer) noexcept { std::free(std::exchange(buffer, nullptr)); }
  void take_many(std::size_t bytes, std::span<Buffer> many) noexcept { bench::take_each(*this, bytes, many); }
  void give_many(std::span<Buffer> many) noexcept { bench::give_each(*this, many); }
  static void* data(Buffer buffer) noexcept { return buffer; }
  static std::size_t unused_bytes() noexcept { return 0; }
};

}  // namespace

int main(int argc, char** argv) { return bench::Program<Malloc>::main(argc, argv); }
