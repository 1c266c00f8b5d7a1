#include "uring_probe.h"

#include <weir/buffer_ring.h>

#include <array>
#include <deque>
#include <fstream>

#include "os/uring.h"
#include "server/uring.h"

namespace weir::tool {
namespace {

/// An io_uring for a moment, or the reason why there is none.
class Trial {
 public:
  explicit Trial(unsigned flags, unsigned entries = 4) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = 16 * entries;
    error_ = io_uring_queue_init_params(entries, &ring_, &params);
  }
  ~Trial() {
    if (error_ == 0) io_uring_queue_exit(&ring_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  int error() const { return error_; }
  io_uring& ring() { return ring_; }

  int try_buffer_ring(bool incremental) {
    alignas(4096) static std::array<io_uring_buf, 4096 / sizeof(io_uring_buf)> entries;
    const int error = os::register_buffer_ring(ring_, entries.data(), 1, BufferRing::kLeastGroup, incremental);
    if (error == 0) os::unregister_buffer_ring(ring_, BufferRing::kLeastGroup);
    return error;
  }

 private:
  io_uring ring_{};
  int error_ = 0;
};

/// All at once: together they count against the memlock limit.
int try_as_server(unsigned cpus) {
  constexpr unsigned kEntries = 1024;
  std::deque<Trial> trials;
  while (trials.size() < cpus && (trials.empty() || trials.back().error() == 0)) trials.emplace_back(0, kEntries);
  return trials.empty() ? 0 : trials.back().error();
}

int read_disabled() {
  int value = 0;
  std::ifstream("/proc/sys/kernel/io_uring_disabled") >> value;
  return value;
}

}  // namespace

UringFacts probe_uring(unsigned cpus) {
  Trial trial(0);
  UringFacts facts{.error = trial.error(), .disabled = read_disabled()};
  if (trial.error() != 0) return facts;
  if (const server::Refusal refusal = server::try_calls(trial.ring()); refusal.call != nullptr) {
    facts.error = refusal.error;
    facts.call = refusal.call;
    return facts;
  }
  facts.server_error = try_as_server(cpus);
  const os::ReceiveFeatures receives = os::probe_receives(trial.ring());
  facts.multishot = receives.multishot;
  facts.bundles = receives.bundles;
  facts.buffer_ring_error = trial.try_buffer_ring(false);
  facts.incremental = trial.try_buffer_ring(true) == 0;
  facts.deferred = Trial(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN).error() == 0;
  return facts;
}

}  // namespace weir::tool
