#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim/kernel.h"
#include "sim/report.h"

// How the stand-in answers requests.

namespace weir::sim {
namespace {

constexpr std::uint32_t kMoreOfBuffer = 1U << 4;  // IORING_CQE_F_BUF_MORE
constexpr std::size_t kMostAtOnce = 32;           // receives of a multishot before others have their turn
constexpr std::size_t kMostOfBundle = 8;

}  // namespace

/// A cancelled one may still tell of data that it had when the cancel came.
bool Kernel::proceed(Request& request) {
  const bool cancelled = request.ending == Request::Ending::cancelled;
  const bool may_tell = says_something(request) && (!cancelled || (request.multishot && random_.chance(30)));
  if (may_tell && (request.poll ? proceed_poll(request) : proceed_receive(request))) return true;
  return request.ending != Request::Ending::none && end(request, -ECANCELED);
}

bool Kernel::proceed_poll(Request& request) { return end(request, request.file->events()); }

bool Kernel::proceed_receive(Request& request) {
  if (!request.group) {
    const int result = request.file->receive(request.buffer.first(short_of(request.buffer.size())));
    if (result > 0) request.file->note_buffers(1);
    return end(request, result);
  }
  for (std::size_t left = random_.between(1, kMostAtOnce); left > 0; --left) {
    if (request.hides_end && !request.file->has_data()) break;
    if (receive_selected(request)) return true;
    if (!request.file->readable() && !personality_.early_enobufs) break;
    if (!request.file->readable() && group_of(request)->count() > 0) break;
  }
  return false;
}

/// One receive into the next buffer of the group, or into several in the order of the ring.
bool Kernel::receive_selected(Request& request) {
  BufferGroup* group = group_of(request);
  if (group == nullptr || group->count() == 0) return end(request, -ENOBUFS);
  if (!request.file->has_data()) return end(request, request.file->receive({}));

  const std::size_t buffers =
      request.bundle ? random_.between(1, std::min<std::size_t>(group->count(), kMostOfBundle)) : 1;
  Completion told{.user_data = request.user_data, .file = request.file};
  told.flags = IORING_CQE_F_BUFFER | static_cast<std::uint32_t>(group->first_bid()) << IORING_CQE_BUFFER_SHIFT;
  for (unsigned i = 0; i < buffers && request.file->has_data(); ++i) {
    std::span<std::byte> room = group->at(i);
    if (!request.buffer.empty()) room = room.first(std::min(room.size(), request.buffer.size()));
    const std::size_t wanted = room.size();
    if (!request.bundle) room = room.first(short_of(room.size()));
    const int bytes = request.file->receive(room);
    told.result += bytes;
    told.buffers.push_back({room.data(), static_cast<std::size_t>(bytes)});
    if (static_cast<std::size_t>(bytes) < wanted) break;
  }
  BufferGroup::Used used = group->use(static_cast<std::size_t>(told.result));
  told.slots = static_cast<unsigned>(used.whole.size());
  request.file->note_buffers(told.slots);
  if (used.more) told.flags |= kMoreOfBuffer;
  if (group->incremental()) told.retired = std::move(used.whole);
  const bool last = request.bundle && (group->count() == 0 || (group->incremental() && random_.chance(30)));
  return tell_data(request, std::move(told), last);
}

/// A multishot goes on unless its completion would have to be kept back.
bool Kernel::tell_data(Request& request, Completion completion, bool last) {
  const bool goes_on = request.multishot && !last && !queues_.full();
  if (goes_on) completion.flags |= IORING_CQE_F_MORE;
  if (request.file->has_data()) completion.flags |= IORING_CQE_F_SOCK_NONEMPTY;
  trace("kernel: receive %#llx: %d bytes%s", static_cast<unsigned long long>(request.user_data), completion.result,
        goes_on ? ", more to come" : "");
  queues_.post(std::move(completion));
  return !goes_on;
}

bool Kernel::end(Request& request, int result) {
  Completion last{.user_data = request.user_data, .result = result, .file = request.file};
  if (result == -ENOBUFS) ++request.file->starved;
  if (request.has_buffer()) last.buffers.push_back({request.buffer.data(), request.buffer.size()});
  trace("kernel: %s %#llx: %d", request.poll ? "poll" : "receive", static_cast<unsigned long long>(request.user_data),
        result);
  queues_.post(std::move(last));
  return true;
}

BufferGroup* Kernel::group_of(const Request& request) {
  const auto found =
      std::find_if(groups_.begin(), groups_.end(), [&](auto& each) { return each.id() == request.group; });
  return found != groups_.end() ? &*found : nullptr;
}

/// As much, or less: data that arrives just after a receive cannot be told from a receive that was short.
std::size_t Kernel::short_of(std::size_t bytes) { return random_.chance(70) ? bytes : random_.between(1, bytes); }

}  // namespace weir::sim
