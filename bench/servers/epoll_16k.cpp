#include "epoll_server.h"

namespace bench {
namespace {

class OwnBuffer {
 public:
  std::span<std::byte> bytes() const { return {bytes_.get(), kBytes}; }
  static std::span<const std::byte> keep(std::span<const std::byte> rest) { return rest; }
  static void clear() {}

 private:
  static constexpr std::size_t kBytes = 16 << 10;
  std::unique_ptr<std::byte[]> bytes_ = std::make_unique_for_overwrite<std::byte[]>(kBytes);
};

}  // namespace

void serve_epoll_16k(const Task& task) { EpollServer<EpollClient<OwnBuffer>>(task.listener).run(); }

}  // namespace bench
