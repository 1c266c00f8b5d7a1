#include "pin.h"

#include <sched.h>
#include <weir/error.h>

#include <cerrno>
#include <memory>
#include <string>

namespace weir::server {
namespace {

constexpr int kMostCpus = 1 << 16;

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

/// Of so many CPUs, none of them in it.
struct CpuSet {
  explicit CpuSet(int count) : bytes(CPU_ALLOC_SIZE(count)), set(CPU_ALLOC(static_cast<std::size_t>(count))) {
    CPU_ZERO_S(bytes, set.get());
  }
  std::size_t bytes;
  std::unique_ptr<cpu_set_t, FreeSet> set;
};

[[noreturn]] void refuse(int error, const std::string& what) {
  throw Error(error, "--pin: the kernel refuses " + what + ": leave --pin away, or allow it (seccomp, cpuset)");
}

}  // namespace

std::vector<int> allowed_cpus() {
  for (int most = CPU_SETSIZE;; most *= 2) {
    const CpuSet allowed(most);
    std::vector<int> cpus;
    if (sched_getaffinity(0, allowed.bytes, allowed.set.get()) == 0) {
      for (int cpu = 0; cpu < most; ++cpu) {
        if (CPU_ISSET_S(static_cast<std::size_t>(cpu), allowed.bytes, allowed.set.get())) cpus.push_back(cpu);
      }
      return cpus;
    }
    if (errno != EINVAL || most >= kMostCpus) refuse(errno, "to tell which CPUs there are");  // EINVAL: it has more
  }
}

void pin_to(int cpu) {
  const CpuSet one(cpu + 1);
  CPU_SET_S(static_cast<std::size_t>(cpu), one.bytes, one.set.get());
  if (sched_setaffinity(0, one.bytes, one.set.get()) != 0) refuse(errno, "CPU " + std::to_string(cpu));
}

}  // namespace weir::server
