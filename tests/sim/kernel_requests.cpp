#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/kernel.h"
#include "sim/report.h"

// How the stand-in takes requests.

namespace weir::sim {
namespace {

constexpr unsigned kBundle = 1U << 4;  // IORING_RECVSEND_BUNDLE

}  // namespace

void Kernel::accept(const io_uring_sqe& sqe) {
  if ((sqe.flags & ~IOSQE_BUFFER_SELECT) != 0) violate("a request with flags %#x", sqe.flags);
  switch (sqe.opcode) {
    case IORING_OP_RECV:
      return accept_receive(sqe);
    case IORING_OP_POLL_ADD:
      return accept_poll(sqe);
    case IORING_OP_ASYNC_CANCEL:
      return accept_cancel(sqe);
    default:
      violate("a request of opcode %u, which the simulator does not know", sqe.opcode);
  }
}

Request Kernel::request_of(const io_uring_sqe& sqe) {
  Request request{.user_data = sqe.user_data, .file = files_.at(sqe.fd)};
  if (request.file == nullptr) violate("request %#llx of descriptor %d, which is closed", sqe.user_data, sqe.fd);
  const auto same = [&](const Request& each) { return each.user_data == request.user_data; };
  if (std::any_of(requests_.begin(), requests_.end(), same)) violate("two requests are named %#llx", sqe.user_data);
  return request;
}

void Kernel::accept_receive(const io_uring_sqe& sqe) {
  Request request = request_of(sqe);
  const auto rival = [&](const Request& each) {
    return !each.poll && each.file == request.file && each.ending == Request::Ending::none;
  };
  if (std::any_of(requests_.begin(), requests_.end(), rival)) {
    violate("two receives of one connection: the second is %#llx", sqe.user_data);
  }
  request.multishot = (sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
  request.bundle = (sqe.ioprio & kBundle) != 0;
  request.buffer = {reinterpret_cast<std::byte*>(sqe.addr), sqe.len};
  if ((sqe.flags & IOSQE_BUFFER_SELECT) != 0) request.group = sqe.buf_group;
  const bool knows_flags =
      (!request.multishot || personality_.multishot) && (!request.bundle || personality_.bundles) &&
      (sqe.len == 0 || !request.multishot || personality_.multishot_length) && (sqe.len == 0 || !request.bundle);
  if (!knows_flags)
    violate("Linux %s refuses the receive %#llx: flags %#x", personality_.name, sqe.user_data, sqe.ioprio);
  if (!request.group && (request.multishot || request.bundle || sqe.addr == 0 || sqe.len == 0)) {
    violate("receive %#llx has no buffer", sqe.user_data);
  }
  if ((sqe.msg_flags & ~static_cast<unsigned>(MSG_DONTWAIT)) != 0) violate("a receive with flags %#x", sqe.msg_flags);
  trace("kernel: receive %#llx of %llu%s%s%s", sqe.user_data, static_cast<unsigned long long>(request.file->id),
        request.multishot ? ", multishot" : "", request.group ? ", from the ring" : "",
        sqe.msg_flags != 0 ? ", at once" : "");

  const BufferGroup* group = group_of(request);
  const bool later = (sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
  request.hides_end = later && request.multishot && personality_.hides_end && request.file->has_data() &&
                      request.file->finished && !request.file->broken && random_.chance(50);
  if (!later && request.group && (group == nullptr || group->count() == 0)) {
    end(request, -ENOBUFS);
  } else if (!later && (sqe.msg_flags & MSG_DONTWAIT) != 0 && !request.file->readable()) {
    end(request, -EAGAIN);
  } else if (later || !request.file->readable() || !proceed(request)) {
    requests_.push_back(std::move(request));
  }
}

/// A file that is said to be readable need not be.
void Kernel::accept_poll(const io_uring_sqe& sqe) {
  Request request = request_of(sqe);
  request.poll = true;
  if (sqe.len != 0) violate("poll %#llx with flags %#x", sqe.user_data, sqe.len);
  trace("kernel: poll %#llx of %llu", sqe.user_data, static_cast<unsigned long long>(request.file->id));
  const bool told = request.file->readable() || random_.chance(5);
  if (!told || !proceed_poll(request)) requests_.push_back(std::move(request));
}

/// Data may come first; the two completions come in either order; the request's own may come much later.
void Kernel::accept_cancel(const io_uring_sqe& sqe) {
  if (sqe.cancel_flags != 0) violate("a cancel with flags %#x", sqe.cancel_flags);
  const auto find = [&] {
    return std::find_if(requests_.begin(), requests_.end(), [&](auto& each) { return each.user_data == sqe.addr; });
  };
  const auto answer = [&](int result) {
    trace("kernel: cancel of %#llx: %d", sqe.addr, result);
    queues_.post({.user_data = sqe.user_data, .result = result});
  };
  auto found = find();
  const bool told_first = random_.chance(50);
  if (found != requests_.end() && is_due(*found) && random_.chance(50)) {
    const bool lost = found->ending == Request::Ending::none && !found->multishot;
    if (lost && told_first) answer(-ENOENT);
    if (proceed(*found)) requests_.erase(found);
    if (lost && told_first) return;
    found = find();
  }
  if (found == requests_.end()) return answer(-ENOENT);
  if (found->ending != Request::Ending::none) return answer(-EALREADY);
  if (random_.chance(10)) {
    found->ending = Request::Ending::slow;
    return answer(-EALREADY);
  }
  found->ending = Request::Ending::cancelled;
  if (told_first) answer(0);
  if (random_.chance(70)) {
    end(*found, -ECANCELED);
    requests_.erase(found);
  }
  if (!told_first) answer(0);
}

}  // namespace weir::sim
