#include <poll.h>

#include "one_at_a_time.h"

namespace bench {
namespace {

class PollReceive final : public OneAtATime {
 public:
  using OneAtATime::OneAtATime;

 private:
  void await(TurnClient& client) override {
    client.buffer.reset();
    io_uring_prep_poll_add(request(Operation::poll, &client), client.fd(), POLLIN);
  }
};

}  // namespace

void serve_poll_receive(const Task& task) { PollReceive(task.listener).run(); }

}  // namespace bench
