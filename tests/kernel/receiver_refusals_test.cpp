#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <weir/error.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>

#include "kernel/world.h"

// What a receiver says of an io_uring that it cannot use.

namespace weir {
namespace {

using testing::receive_options;
using testing::SocketPair;

/// Empty when nothing is refused.
std::string refusal(const std::function<void()>& attempt) {
  try {
    attempt();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(ReceiverRefusals, AGroupBeyondTheLastIsNamed) {
  testing::Ring ring;
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  Pool pool(testing::from_ring(receive_options(512, 8)));
  Receiver receiver(pool, ring.get(), 65535);  // the last is as good as any
  const SocketPair sockets = SocketPair::local();
  Inflow inflow;
  const std::string said = refusal([&] { receiver.start(inflow, sockets.near.get(), Strategy::ring_lazy); });
  EXPECT_NE(said.find("needs group 65536"), std::string::npos) << said;
}

TEST(ReceiverRefusals, AQueueThatAThreadOfTheKernelReads) {
  testing::Ring ring(32, IORING_SETUP_SQPOLL);
  if (!ring.missing().empty()) GTEST_SKIP() << ring.missing();
  Pool pool(receive_options(512, 8));
  const std::string said = refusal([&] { const Receiver receiver(pool, ring.get()); });
  EXPECT_NE(said.find("IORING_SETUP_SQPOLL"), std::string::npos) << said;
  testing::expect_law(pool, 0);
}

/// From now on io_uring_register fails, as by a seccomp profile that allows the two other calls only.
bool forbid_register() {
  sock_filter lines[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(lines), .filter = lines};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// What a receiver says without that call, on standard error.
void say_without_register(Strategy strategy) {
  testing::Ring ring;
  if (!ring.missing().empty() || !forbid_register()) std::fputs("io_uring_register is forbidden (not here)", stderr);
  Options options = receive_options(512, 8);
  options.recv = strategy;
  Pool pool(options);
  std::fputs(refusal([&] { const Receiver receiver(pool, ring.get()); }).c_str(), stderr);
  std::_Exit(0);
}

TEST(ReceiverRefusalsDeathTest, RegisterThatIsForbiddenIsNotAnOldKernel) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Strategy strategy : {Strategy::ring, Strategy::automatic}) {  // refused, and told as an alert
    EXPECT_EXIT(say_without_register(strategy), ::testing::ExitedWithCode(0), "io_uring_register is forbidden");
  }
}

}  // namespace
}  // namespace weir
