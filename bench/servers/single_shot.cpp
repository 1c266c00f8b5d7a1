#include "one_at_a_time.h"

namespace bench {
namespace {

class SingleShot final : public OneAtATime {
 public:
  using OneAtATime::OneAtATime;

 private:
  void await(TurnClient& client) override { receive(client)->ioprio |= IORING_RECVSEND_POLL_FIRST; }
};

}  // namespace

void serve_single_shot(const Task& task) { SingleShot(task.listener).run(); }

}  // namespace bench
