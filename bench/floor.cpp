#include <sys/mman.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "memory_use.h"
#include "workloads.h"

// What some workloads cost by themselves on this machine: their buffers come from arrays of pointers that are for one
// thread and never empty, and that nothing counts, checks or bounds.

namespace {

struct Stack {
  std::vector<void*> room;
  void** top = nullptr;
};

/// A buffer that knows where it came from: as much as one that finds its way home by itself must carry.
class Owned {
 public:
  Owned() = default;
  Owned(void* data, Stack* home) : data_(data), home_(home) {}
  Owned(Owned&& other) noexcept : data_(std::exchange(other.data_, nullptr)), home_(other.home_) {}
  Owned& operator=(Owned&& other) noexcept {
    data_ = std::exchange(other.data_, nullptr);
    home_ = other.home_;
    return *this;
  }
  ~Owned() = default;

  void* data() const { return data_; }
  Stack& home() const { return *home_; }
  void* release() { return std::exchange(data_, nullptr); }

 private:
  void* data_ = nullptr;
  Stack* home_ = nullptr;
};

/// Populated memory, of huge pages where there are some.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
    start_ = map(MAP_HUGETLB);
    if (start_ == MAP_FAILED) start_ = map(0);
    if (start_ == MAP_FAILED) throw std::runtime_error("there is no memory");
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ::munmap(start_, bytes_); }
  std::byte* start() const { return static_cast<std::byte*>(start_); }

 private:
  static constexpr std::size_t kHugePage = 2 * bench::kMiB;
  void* map(int kind) const {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    return ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, kFlags | kind, -1, 0);
  }
  std::size_t bytes_;
  void* start_ = nullptr;
};

/// A stack for each power of two.
class Floor {
 public:
  using Buffer = Owned;
  struct Guest {};

  explicit Floor(const bench::Plan& plan) : Floor(plan, kLine) {}

  Buffer take(std::size_t bytes) {
    Stack& stack = stack_for(bytes);
    return {*--stack.top, &stack};
  }
  static void give(Buffer& buffer) { *buffer.home().top++ = buffer.release(); }
  void take_many(std::size_t bytes, std::span<Buffer> many) {
    Stack* const stack = &stack_for(bytes);
    void** const from = stack->top -= many.size();
    for (std::size_t i = 0; i < many.size(); ++i) many[i] = {from[i], stack};
  }
  static void give_many(std::span<Buffer> many) {
    if (many.empty()) return;
    Stack& stack = many.front().home();
    void** const to = std::exchange(stack.top, stack.top + many.size());
    for (std::size_t i = 0; i < many.size(); ++i) to[i] = many[i].release();
  }
  static void* data(const Buffer& buffer) { return buffer.data(); }

  static std::size_t unused_bytes() { return 0; }

 protected:
  Floor(const bench::Plan& plan, std::size_t colour)
      : least_(std::bit_ceil(plan.least)), memory_(plan.bytes + plan.bytes / 32) {
    std::size_t sum = 0;
    for (std::size_t bytes = least_; bytes <= plan.most; bytes *= 2) sum += bytes;
    std::byte* next = memory_.start();
    for (std::size_t bytes = least_; bytes <= plan.most; bytes *= 2) {
      Stack& stack = stacks_.emplace_back();
      for (std::size_t i = 0; i < plan.bytes / sum; ++i) {
        stack.room.push_back(next);
        next += bytes >= bench::kPage ? bytes + colour : bytes;
      }
      stack.top = stack.room.data() + stack.room.size();
    }
  }

 private:
  static constexpr std::size_t kLine = 64;

  Stack& stack_for(std::size_t bytes) {
    return stacks_[static_cast<std::size_t>(std::bit_width((bytes - 1) / least_))];
  }

  std::size_t least_;
  Memory memory_;
  std::vector<Stack> stacks_;  // each moves while they are made, but not where its room is
};

/// Every buffer starts at a page.
struct PagedFloor : Floor {
  explicit PagedFloor(const bench::Plan& plan) : Floor(plan, 0) {}
};

/// What one thread takes another gives back, and nothing brings it home.
struct RelayFloor : Floor {
  using Floor::Floor;
  Buffer take(std::size_t /*bytes*/) { return {this, nullptr}; }
  static void give(Buffer& buffer) { buffer.release(); }
};

}  // namespace

/// `bench-floor time MILLISECONDS | set-up`, as bench::Program does, of some workloads.
int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const double milliseconds = argc > 2 ? std::atof(argv[2]) : 0;
  if (what == "time" && milliseconds > 0) {
    bench::time_bulk<Floor>(milliseconds);
    bench::time_replace<Floor>("replace/coloured", milliseconds);
    bench::time_replace<PagedFloor>("replace/page-aligned", milliseconds);
    bench::time_relay<RelayFloor>(milliseconds);
  } else if (what == "set-up") {
    bench::count_set_up<Floor>();
  } else {
    std::fprintf(stderr, "Usage: %s time MILLISECONDS | set-up\n", argv[0]);
    return 2;
  }
  return 0;
}
