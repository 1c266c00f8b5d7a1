#include "backend.h"

#include <weir/error.h>

#include <mutex>
#include <string>

#include "log.h"

namespace weir::server {
namespace {

bool is_forbidden(const Error& error) {
  const int code = error.code().value();
  return code == EPERM || code == EACCES || code == ENOSYS;
}

}  // namespace

std::unique_ptr<Backend> make_backend(Pool& pool, Backend::Events& events) {
  const Strategy asked = pool.options().recv;
  if (asked == Strategy::epoll) return make_epoll_backend(pool, events);
  try {
    return make_uring_backend(pool, events);
  } catch (const Error& error) {
    if (asked != Strategy::automatic || !is_forbidden(error)) throw;
    static std::once_flag said;
    std::call_once(said, [&] { say(std::string("input and output are degraded to epoll: ") + error.what()); });
    return make_epoll_backend(pool, events);
  }
}

}  // namespace weir::server
