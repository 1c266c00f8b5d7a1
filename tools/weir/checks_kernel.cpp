#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/units.h"
#include "checks.h"

namespace weir::tool {
namespace {

constexpr KernelVersion kOldest{5, 10};

/// What weir, or its user, must mind on some kernels, up to but without `until`.
struct Quirk {
  KernelVersion from;
  KernelVersion until;
  const char* what;
};

constexpr std::array kQuirks{
    Quirk{{5, 10}, {5, 13}, "buffers cannot be added to those registered: RegisteredPool::refresh() fails"},
    Quirk{{5, 10}, {5, 14}, "memory is populated without MADV_POPULATE_WRITE, which takes longer"},
    Quirk{{5, 19},
          {6, 12},
          "buffer groups below 64 lose their place when registered again: number yours from 64, as weir does"},
    Quirk{{6, 13}, {6, 15}, "bundles come in the wrong order: weir refuses ring_bundle"},
};

std::string quirks_of(KernelVersion kernel) {
  std::string all;
  for (const Quirk& quirk : kQuirks) {
    if (kernel >= quirk.from && kernel < quirk.until) all += (all.empty() ? "" : "; ") + std::string(quirk.what);
  }
  return all;
}

/// Who forbids it, and how it is allowed.
std::string how_to_allow(const UringFacts& uring, const Plan& plan) {
  if (uring.disabled > 0) return "as root: sysctl -w kernel.io_uring_disabled=0";
  if (uring.error == -ENOMEM) return memlock_fix(plan);
  return "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile; with Docker: docker run "
         "--security-opt seccomp=FILE";
}

std::string newer_kernel(const char* version) {
  return fmt::format("boot Linux {} or newer; on Debian 12, as root: apt-get install linux-image-amd64", version);
}

Finding feature(const char* what, bool there, const char* since, const char* meaning) {
  if (there) return {Health::ok, what, "here", "", ""};
  return {Health::degraded, what, "not here", meaning, newer_kernel(since)};
}

/// Something that only a strategy needs which nobody gets without asking for it.
Finding extra(const char* what, bool there, const char* strategy, const char* since) {
  const std::string needs = fmt::format("only the strategy {} needs it: {}", strategy, since);
  return {Health::ok, what, there ? "here" : "not here", there ? "" : needs, ""};
}

Finding check_buffer_rings(const UringFacts& uring, const Plan& plan) {
  const int error = uring.buffer_ring_error;
  if (error == 0 || error == -EINVAL)
    return feature("buffer rings", error == 0, "6.0", "receivers poll, which costs a system call for each receive");
  const bool memory = error == -ENOMEM;
  return {Health::broken, "buffer rings", fmt::format("the kernel refuses one: {}", std::strerror(-error)),
          "no receiver can be made with a strategy that uses one", memory ? memlock_fix(plan) : ""};
}

}  // namespace

Findings check_kernel(const Machine& machine, const Plan& /*plan*/) {
  const std::string fact = "Linux " + machine.release;
  if (machine.kernel < kOldest)
    return {{Health::broken, "kernel", fact, "weir needs Linux 5.10", newer_kernel("5.10")}};
  return {{Health::ok, "kernel", fact, quirks_of(machine.kernel), ""}};
}

Findings check_uring(const Machine& machine, const Plan& plan) {
  const UringFacts& uring = machine.uring;
  if (uring.error == 0 && uring.server_error != 0) {
    return {{Health::degraded, "io_uring",
             fmt::format("refused where there is one for each of {} CPUs: {}", machine.cpus,
                         std::strerror(-uring.server_error)),
             "some threads of a server with so many go on by epoll; a WEIR_RECV that needs io_uring is refused",
             memlock_fix(plan)}};
  }
  if (uring.error == 0) return {{Health::ok, "io_uring", "allowed", "", ""}};
  return {{Health::degraded, "io_uring",
           fmt::format("not to be had: {} failed: {} (kernel.io_uring_disabled={})", uring.call,
                       std::strerror(-uring.error), uring.disabled),
           "receivers go on by epoll; a WEIR_RECV that needs io_uring is refused", how_to_allow(uring, plan)}};
}

Findings check_features(const Machine& machine, const Plan& plan) {
  const UringFacts& uring = machine.uring;
  if (uring.error != 0) return {};
  return {check_buffer_rings(uring, plan),
          feature("multishot receive", uring.multishot, "6.0",
                  "receivers poll, which costs a system call for each receive"),
          feature("deferred task work", uring.deferred, "6.1", "completions may interrupt the server's threads"),
          extra("bundles", uring.bundles, "ring_bundle", "Linux 6.10 or newer, not 6.13 to 6.15"),
          extra("incremental buffers", uring.incremental, "ring_incremental", "Linux 6.12 or newer")};
}

}  // namespace weir::tool
