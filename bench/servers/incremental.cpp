#include "os/kernel_numbers.h"
#include "ring_server.h"

namespace bench {
namespace {

/// The kernel fills a buffer piece by piece. It goes back when it is full and its last piece has left.
class IncrementalRing final : public RingServer {
 public:
  explicit IncrementalRing(const Task& task) : RingServer(task, kBytes, weir::os::kernel::kBufferRingIncremental) {}

 private:
  static constexpr std::size_t kBytes = 256 << 10;
  static constexpr std::size_t kServes = 16;  // of those who wait, by a buffer

  struct Use {
    std::size_t filled = 0;
    std::size_t pieces = 0;  ///< that have not left
    bool full = false;
  };

  Piece claim(const io_uring_cqe& cqe) override {
    const auto number = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    const auto bytes = static_cast<std::size_t>(cqe.res);
    Use& use = uses_[number];
    const Piece piece{buffer(number) + use.filled, bytes, number};
    use.filled += bytes;
    ++use.pieces;
    use.full = (cqe.flags & weir::os::kernel::kCqeBufferMore) == 0;
    if (use.full) note_taken();
    return piece;
  }

  void drop(const Piece& piece) override {
    Use& use = uses_[piece.buffer];
    if (--use.pieces > 0 || !use.full) return;
    use = {};
    give_back(piece.buffer);
  }

  std::size_t room() const override { return RingServer::room() * kServes; }

  std::vector<Use> uses_ = std::vector<Use>(buffers());
};

}  // namespace

void serve_incremental(const Task& task) { IncrementalRing(task).run(); }

}  // namespace bench
