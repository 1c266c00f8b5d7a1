#include "ring_server.h"

namespace bench {
namespace {

/// A completion takes a whole buffer, however little it brings.
class FixedRing final : public RingServer {
 public:
  FixedRing(const Task& task, std::size_t buffer_bytes) : RingServer(task, buffer_bytes, 0) {}

 private:
  Piece claim(const io_uring_cqe& cqe) override {
    const auto number = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    note_taken();
    return {buffer(number), static_cast<std::size_t>(cqe.res), number};
  }
  void drop(const Piece& piece) override { give_back(piece.buffer); }
};

}  // namespace

void serve_ring_4k(const Task& task) { FixedRing(task, 4 << 10).run(); }
void serve_ring_16k(const Task& task) { FixedRing(task, 16 << 10).run(); }

}  // namespace bench
