#include "backend.h"

#include <weir/error.h>

#include <mutex>
#include <string>

#include "log.h"

namespace weir::server {

std::unique_ptr<Backend> make_backend(Pool& pool, Backend::Events& events) {
  const Strategy asked = pool.options().recv;
  if (asked == Strategy::epoll) return make_epoll_backend(pool, events);
  try {
    return make_uring_backend(pool, events);
  } catch (const Error& error) {
    if (asked != Strategy::automatic) throw;
    std::unique_ptr<Backend> instead = make_epoll_backend(pool, events);  // what refuses this, too, is not io_uring
    static std::once_flag said;
    std::call_once(said, [&] { say(std::string("input and output are degraded to epoll: ") + error.what()); });
    return instead;
  }
}

}  // namespace weir::server
