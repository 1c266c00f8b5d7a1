#include <vector>

#include "epoll_server.h"

namespace bench {
namespace {

/// One for all; what a socket does not take is copied.
class SharedBuffer {
 public:
  static std::span<std::byte> bytes() {
    static std::array<std::byte, 64 << 10> shared;
    return shared;
  }
  std::span<const std::byte> keep(std::span<const std::byte> rest) {
    kept_.assign(rest.begin(), rest.end());
    return kept_;
  }
  void clear() { std::vector<std::byte>().swap(kept_); }

 private:
  std::vector<std::byte> kept_;
};

}  // namespace

void serve_epoll_shared(const Task& task) { EpollServer<EpollClient<SharedBuffer>>(task.listener).run(); }

}  // namespace bench
