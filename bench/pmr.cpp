#include <memory_resource>

#include "main.h"

namespace {

/// A std::pmr::synchronized_pool_resource, for any thread may give back what another took. It needs to be told the
/// size again.
class Pmr {
 public:
  struct Buffer {
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  struct Guest {};
  static constexpr bool kBulk = false;

  explicit Pmr(const bench::Plan& plan)
      : pool_({.max_blocks_per_chunk = 0, .largest_required_pool_block = plan.most}) {}

  Buffer take(std::size_t bytes) { return {pool_.allocate(bytes, kLine), bytes}; }
  void give(Buffer& buffer) {
    if (buffer.data != nullptr) pool_.deallocate(buffer.data, buffer.bytes, kLine);
    buffer = {};
  }
  void take_many(std::size_t bytes, std::span<Buffer> many) { bench::take_each(*this, bytes, many); }
  void give_many(std::span<Buffer> many) { bench::give_each(*this, many); }
  static void* data(const Buffer& buffer) noexcept { return buffer.data; }
  static std::size_t unused_bytes() noexcept { return 0; }

 private:
  static constexpr std::size_t kLine = 64;
  std::pmr::synchronized_pool_resource pool_;
};

}  // namespace

int main(int argc, char** argv) { return bench::Program<Pmr>::main(argc, argv); }
