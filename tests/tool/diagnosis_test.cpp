#include "weir/diagnosis.h"

#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <cerrno>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "base/units.h"

// Made-up machines: what is said of them, and what is planned for them.

namespace weir::tool {
namespace {

using base::kKiB;
using base::kMiB;

constexpr Load kLoad{.connections = 1000, .message_bytes = 16 * kKiB};

NodeFacts node_with(int number, std::uint64_t huge_pages) {
  NodeFacts node{.number = number, .has_cpus = true, .has_memory = true, .available = 8192 * kMiB};
  node.huge = {.total = huge_pages, .free = huge_pages};
  return node;
}

/// Where all is well.
Machine good_machine() {
  Machine machine;
  machine.release = "6.18.0";
  machine.kernel = {6, 18};
  machine.cpus = 4;
  machine.nodes = {node_with(0, 1000), node_with(1, 1000)};
  machine.transparent = "madvise";
  machine.memlock_limit = 64 * kMiB;
  machine.files_soft = machine.files_hard = 100'000;
  machine.uring.multishot = machine.uring.bundles = machine.uring.incremental = machine.uring.deferred = true;
  return machine;
}

struct Diagnosis {
  explicit Diagnosis(const Machine& machine, const Load& load = kLoad)
      : plan(make_plan(load, machine)), findings(diagnose(machine, plan)) {}

  /// The finding about it, or one that says that there is none.
  Finding of(const std::string& what) const {
    const auto found = std::ranges::find(findings, what, &Finding::what);
    return found != findings.end() ? *found : Finding{Health::ok, "", "nothing is said of " + what, "", ""};
  }
  void expect(const std::string& what, Health health, const std::string& fix) const {
    EXPECT_EQ(of(what).health, health) << what << ": " << of(what).fact;
    EXPECT_NE(of(what).fix.find(fix), std::string::npos) << what << ": " << of(what).fact << "; fix: " << of(what).fix;
    EXPECT_EQ(health_of(findings), health);
  }
  std::string variable(const std::string& name) const {
    const auto found = std::ranges::find(plan.variables, name, &std::pair<std::string, std::string>::first);
    return found != plan.variables.end() ? found->second : "none";
  }

  Plan plan;
  std::vector<Finding> findings;
};

TEST(Diagnosis, OfAGoodMachineIsThatAllIsOk) {
  const Diagnosis diagnosis(good_machine());
  for (const Finding& finding : diagnosis.findings) {
    EXPECT_EQ(finding.health, Health::ok) << finding.what << ": " << finding.fact;
    EXPECT_EQ(finding.fix, "") << finding.what;
  }
  EXPECT_EQ(diagnosis.variable("WEIR_PAGES"), "auto");
  EXPECT_EQ(diagnosis.variable("WEIR_RECV_BYTES"), "16k");
  EXPECT_EQ(diagnosis.variable("WEIR_RING_ENTRIES"), "64");
}

TEST(Diagnosis, NamesTheNodeWithoutHugePagesAndHowMany) {
  Machine machine = good_machine();
  machine.nodes[1].huge = {.total = 30, .free = 3};
  const Diagnosis diagnosis(machine);
  const std::string pages = std::to_string(27 + diagnosis.plan.huge_pages_a_node());
  EXPECT_EQ(diagnosis.of("huge pages, node 0").health, Health::ok);
  diagnosis.expect(
      "huge pages, node 1", Health::degraded,
      "as root: echo " + pages + " >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages");
  EXPECT_EQ(diagnosis.plan.small_bytes, diagnosis.plan.node_bytes);
  EXPECT_EQ(diagnosis.variable("WEIR_PAGES"), "auto");
  machine.nodes[0].huge = {};
  EXPECT_EQ(Diagnosis(machine).variable("WEIR_PAGES"), "thp");
}

TEST(Diagnosis, WithoutHugePagesOfAnyKind) {
  Machine machine = good_machine();
  machine.transparent = "never";
  for (NodeFacts& node : machine.nodes) node.huge = {};
  const Diagnosis diagnosis(machine);
  diagnosis.expect("transparent huge pages", Health::degraded, "echo madvise >");
  diagnosis.expect("huge pages, node 0", Health::degraded, "node0");
  EXPECT_EQ(diagnosis.variable("WEIR_PAGES"), "4k");
}

TEST(Diagnosis, TransparentPagesAreNotMissedWhereOthersAreReserved) {
  Machine machine = good_machine();
  machine.transparent = "";
  EXPECT_EQ(health_of(Diagnosis(machine).findings), Health::ok);
}

TEST(Diagnosis, AControlGroupMayKeepTheHugePages) {
  Machine machine = good_machine();
  machine.huge_limit = os::GroupLimit{"/group/hugetlb.2MB.max", 4 * kMiB, 2 * kMiB};
  const Diagnosis diagnosis(machine);
  diagnosis.expect("huge pages, control group", Health::degraded,
                   "echo " + std::to_string(2 * kMiB + diagnosis.plan.bytes) + " >/group/hugetlb.2MB.max");
  EXPECT_EQ(diagnosis.plan.small_bytes, diagnosis.plan.bytes);
}

TEST(Diagnosis, SmallPagesCountAgainstMemlock) {
  Machine machine = good_machine();
  machine.memlock_limit = 8 * kMiB;
  EXPECT_EQ(health_of(Diagnosis(machine).findings), Health::ok);
  for (NodeFacts& node : machine.nodes) node.huge = {};
  Diagnosis diagnosis(machine);
  diagnosis.expect("memlock", Health::degraded, "ulimit -l ");
  EXPECT_GE(diagnosis.plan.memlock_bytes, diagnosis.plan.bytes);
  EXPECT_EQ(diagnosis.of("swap").health, Health::ok);
  machine.swap_bytes = kMiB;
  Diagnosis(machine).expect("swap", Health::degraded, "swapoff");
  machine.may_exceed_memlock = true;
  EXPECT_EQ(Diagnosis(machine).of("memlock").health, Health::ok);
  EXPECT_EQ(Diagnosis(machine).of("swap").health, Health::ok);
}

TEST(Diagnosis, AMemlockLimitThatAllowsNoIoUring) {
  Machine machine = good_machine();
  machine.memlock_limit = 64 * kKiB;
  machine.uring.server_error = -ENOMEM;
  const Diagnosis diagnosis(machine);
  diagnosis.expect("io_uring", Health::degraded, "ulimit -l ");
  EXPECT_NE(diagnosis.of("memlock").meaning.find("refuse"), std::string::npos);
}

TEST(Diagnosis, IoUringThatIsForbidden) {
  Machine machine = good_machine();
  machine.uring = {.error = -EPERM, .disabled = 2};
  Diagnosis(machine).expect("io_uring", Health::degraded, "sysctl -w kernel.io_uring_disabled=0");
  machine.uring = {.error = -EPERM};
  const Diagnosis diagnosis(machine);
  diagnosis.expect("io_uring", Health::degraded, "seccomp");
  EXPECT_EQ(diagnosis.variable("WEIR_RING_ENTRIES"), "none");
  EXPECT_EQ(diagnosis.plan.memlock_bytes, 0U);
}

TEST(Diagnosis, OldKernels) {
  Machine machine = good_machine();
  machine.kernel = {5, 10};
  machine.uring = {.buffer_ring_error = -EINVAL};
  const Diagnosis diagnosis(machine);
  diagnosis.expect("buffer rings", Health::degraded, "Linux 6.0");
  diagnosis.expect("multishot receive", Health::degraded, "Linux 6.0");
  EXPECT_EQ(diagnosis.variable("WEIR_RING_ENTRIES"), "none");
  machine.kernel = {5, 4};
  Diagnosis(machine).expect("kernel", Health::broken, "Linux 5.10");
}

TEST(Diagnosis, SaysWhatToMindOnTheKernel) {
  Machine machine = good_machine();
  const auto mind = [&](unsigned minor) {
    machine.kernel = {6, minor};
    return Diagnosis(machine).of("kernel").meaning;
  };
  EXPECT_NE(mind(1).find("below 64"), std::string::npos);
  EXPECT_EQ(mind(12), "");
  EXPECT_NE(mind(13).find("ring_bundle"), std::string::npos);
  EXPECT_NE(mind(14).find("ring_bundle"), std::string::npos);
  EXPECT_EQ(mind(15), "");
}

TEST(Diagnosis, ABufferRingThatTheKernelRefuses) {
  Machine machine = good_machine();
  machine.uring.buffer_ring_error = -ENOMEM;
  Diagnosis(machine).expect("buffer rings", Health::broken, "ulimit -l ");
}

TEST(Diagnosis, MemoryThatIsNotThere) {
  Machine machine = good_machine();
  for (NodeFacts& node : machine.nodes) node.huge = {};
  machine.nodes[1].available = 4 * kMiB;
  Diagnosis(machine).expect("memory, node 1", Health::broken, "--load");
}

TEST(Diagnosis, AControlGroupMayKeepTheMemory) {
  Machine machine = good_machine();
  for (NodeFacts& node : machine.nodes) node.huge = {};
  machine.memory_limit = os::GroupLimit{"/group/memory.max", 8 * kMiB, 0};
  Diagnosis(machine).expect("control group", Health::broken, ">/group/memory.max");
  machine.memory_limit = os::GroupLimit{"/group/memory.max", 512 * kMiB, 510 * kMiB};
  Diagnosis(machine).expect("control group", Health::broken, ">/group/memory.max");
  machine.memory_limit = os::GroupLimit{"/group/memory.max", 64 * 1024 * kMiB, 510 * kMiB};
  EXPECT_EQ(Diagnosis(machine).of("control group").health, Health::ok);
}

TEST(Diagnosis, Nodes) {
  Machine machine = good_machine();
  machine.nodes[0].has_cpus = false;
  machine.nodes.push_back({.number = 2, .has_cpus = true});
  const Diagnosis diagnosis(machine);
  EXPECT_EQ(diagnosis.of("NUMA").fact, "memory on nodes 0,1, none to be had on 2, no CPU on 0");
  EXPECT_EQ(diagnosis.of("huge pages, node 2").what, "");
  EXPECT_EQ(health_of(diagnosis.findings), Health::ok);
  for (int number = 3; number < 12; ++number) machine.nodes.push_back(node_with(number, 1000));
  Diagnosis(machine).expect("NUMA", Health::degraded, "numactl");
  EXPECT_EQ(Diagnosis(machine).plan.bytes, 8 * Diagnosis(machine).plan.node_bytes);
  machine.nodes.resize(3);
  machine.bind_error = -EPERM;
  Diagnosis(machine).expect("binding", Health::degraded, "SYS_NICE");
}

TEST(Diagnosis, OpenFiles) {
  Machine machine = good_machine();
  machine.files_soft = 1024;
  const Load many{.connections = 5000, .message_bytes = 64};
  Diagnosis(machine, many).expect("open files", Health::degraded, "ulimit -n 5");
  machine.files_hard = 4096;
  Diagnosis(machine, many).expect("open files", Health::broken, "as root: ulimit -n 5");
}

TEST(Diagnosis, CountsThreadsOfTheUserAndOfTheControlGroup) {
  Machine machine = good_machine();
  machine.thread_limit = 105;
  machine.user_threads = 100;
  Diagnosis(machine).expect("threads", Health::broken, "ulimit -u 106, or LimitNPROC=106");
  machine.may_exceed_threads = true;
  Diagnosis(machine).expect("threads", Health::ok, "");
  machine.task_limit = os::GroupLimit{"/sys/fs/cgroup/pids.max", 20, 15};
  Diagnosis(machine).expect("threads, control group", Health::broken,
                            "echo 21 >/sys/fs/cgroup/pids.max, or TasksMax=21");
  machine.task_limit->bytes = 21;
  EXPECT_EQ(health_of(Diagnosis(machine).findings), Health::ok);
}

TEST(Diagnosis, TellsOfLimitsOnFilesAndOnAddressSpace) {
  Machine machine = good_machine();
  machine.file_size_limit = 100 * kMiB;
  Diagnosis(machine).expect("size of files", Health::degraded, "ulimit -f unlimited");
  machine = good_machine();
  machine.address_space_limit = 705 * kMiB;
  Diagnosis(machine).expect("address space", Health::broken, "ulimit -v unlimited");
}

/// Threads that have lent and dropped, and live on with what their magazines hold.
class IdleThreads {
 public:
  IdleThreads(Pool& pool, unsigned count, std::uint32_t bytes) : warm_(count) {
    for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this, &pool, bytes] { warm_up(pool, bytes); });
    warm_.wait();
  }
  ~IdleThreads() {
    leave_.count_down();
    for (std::thread& thread : threads_) thread.join();
  }
  IdleThreads(const IdleThreads&) = delete;
  IdleThreads& operator=(const IdleThreads&) = delete;

 private:
  void warm_up(Pool& pool, std::uint32_t bytes) {
    std::vector<Loan> loans;
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 200; ++i) loans.push_back(pool.lend(bytes));
      loans.clear();
    }
    warm_.count_down();
    leave_.wait();
  }

  std::latch warm_;
  std::latch leave_{1};
  std::vector<std::thread> threads_;
};

/// The numbers that are planned with hold: a pool of that size lends, at once, what every ring and every connection
/// may have, whatever idle threads keep.
TEST(Plan, IsEnoughForItsLoad) {
  for (const Load& load :
       {Load{1, 1}, Load{10, 100'000}, Load{1000, 16384}, Load{3000, 600}, Load{500, 40'000}, Load{300, 16384}}) {
    for (const unsigned cpus : {1U, 8U, 16U}) {
      Machine machine = good_machine();
      machine.cpus = cpus;
      machine.nodes = {node_with(0, 0)};
      const Plan plan = make_plan(load, machine);
      Options options;
      options.bytes = plan.bytes;
      options.pages = Pages::small;
      options.nodes = {0};
      Pool pool(options);
      const IdleThreads idle(pool, plan.receivers - 1, plan.buffer_bytes);
      std::vector<Loan> loans;
      const auto buffers = plan.receivers * plan.ring_buffers + load.connections * plan.buffers_a_message;
      for (std::uint64_t i = 0; i < buffers; ++i) {
        loans.push_back(pool.lend(plan.buffer_bytes));
        ASSERT_TRUE(loans.back()) << i << " of " << buffers << " from " << plan.bytes << " for " << load.connections;
      }
      EXPECT_GE(plan.buffer_bytes * plan.buffers_a_message, load.message_bytes);
      EXPECT_EQ(plan.bytes, plan.ring_bytes + plan.message_bytes + plan.spare_bytes);
      const std::uint64_t rings = std::uint64_t{plan.receivers} * plan.ring_buffers * plan.buffer_bytes;
      const std::uint64_t busy = plan.buffer_bytes * plan.buffers_a_message * load.connections / 4;
      EXPECT_LE(plan.ring_buffers > 0 ? rings + busy : 0, plan.bytes / 2) << "rings leave half of a pool alone";
      EXPECT_LE(plan.bytes, 2 * buffers * plan.buffer_bytes + 8 * kMiB) << "far too much";
    }
  }
}

TEST(Plan, LargeMessagesComeWithoutRings) {
  const Plan small = make_plan({.connections = 1000, .message_bytes = 16 * kKiB}, good_machine());
  EXPECT_EQ(small.ring_buffers, small.ring_entries);
  const Plan large = make_plan({.connections = 1000, .message_bytes = 16 * kKiB + 1}, good_machine());
  EXPECT_EQ(large.ring_buffers, 0U);
  EXPECT_GT(large.ring_entries, 0U) << "small data does";
  EXPECT_LT(large.ring_bytes, kMiB);
}

TEST(Plan, OfTheLargestLoadDoesNotOverflow) {
  const Plan plan = make_plan({.connections = 1U << 24, .message_bytes = 1U << 30}, good_machine());
  EXPECT_GE(plan.bytes, std::uint64_t{1} << 54);
}

}  // namespace
}  // namespace weir::tool
