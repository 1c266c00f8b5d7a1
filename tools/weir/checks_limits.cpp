#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/units.h"
#include "checks.h"
#include "stats/segment.h"

namespace weir::tool {
namespace {

using base::format_size;

constexpr const char* kRoot = "as root: ";
constexpr std::uint64_t kStack = 8 * base::kMiB;      // of a thread
constexpr std::uint64_t kProgram = 256 * base::kMiB;  // with its libraries
constexpr std::uint64_t kUnlimited = UINT64_MAX;

std::string limit_text(std::uint64_t bytes) { return bytes == kUnlimited ? "unlimited" : format_size(bytes); }

Finding check_threads_of_user(const Machine& machine, const Plan& plan) {
  const char* what = "threads";
  if (machine.may_exceed_threads || machine.thread_limit == kUnlimited)
    return {Health::ok, what, fmt::format("no limit for this user, {} needed", plan.threads), "", ""};
  const std::uint64_t used = std::min(machine.user_threads, machine.thread_limit);
  const std::string fact = fmt::format("{} of {} left to this user, {} needed", machine.thread_limit - used,
                                       machine.thread_limit, plan.threads);
  if (machine.thread_limit - used >= plan.threads) return {Health::ok, what, fact, "", ""};
  return {Health::broken, what, fact, "a server with so many threads does not start",
          fmt::format("{0}ulimit -u {1}, or LimitNPROC={1} in the server's systemd unit", kRoot,
                      machine.user_threads + plan.threads)};
}

Finding check_threads_of_group(const os::GroupLimit& limit, const Plan& plan) {
  return {Health::broken, "threads, control group",
          fmt::format("{} of {} left, {} needed", limit.left(), limit.bytes, plan.threads),
          "a server with so many threads does not start",
          fmt::format("{0}echo {1} >{2}, or TasksMax={1} in the server's systemd unit", kRoot,
                      limit.used + plan.threads, limit.file)};
}

Finding check_file_size(const Machine& machine) {
  const std::string fact = fmt::format("{}, {} needed for the segment, nearly all of it a hole",
                                       limit_text(machine.file_size_limit), format_size(sizeof(detail::Segment)));
  if (machine.file_size_limit >= sizeof(detail::Segment)) return {Health::ok, "size of files", fact, "", ""};
  return {Health::degraded, "size of files", fact, "only root may look into a server that is started so",
          "ulimit -f unlimited, or LimitFSIZE=infinity in the server's systemd unit"};
}

Finding check_address_space(const Machine& machine, const Plan& plan) {
  const std::uint64_t needed = sizeof(detail::Segment) + plan.bytes + plan.threads * kStack + kProgram;
  const std::string fact = fmt::format("{}, {} needed", limit_text(machine.address_space_limit), format_size(needed));
  if (machine.address_space_limit >= needed) return {Health::ok, "address space", fact, "", ""};
  return {Health::broken, "address space", fact, "the pool or its threads cannot be made",
          "ulimit -v unlimited, or LimitAS=infinity in the server's systemd unit"};
}

}  // namespace

Findings check_threads(const Machine& machine, const Plan& plan) {
  Findings all{check_threads_of_user(machine, plan)};
  const auto& limit = machine.task_limit;
  if (limit && limit->left() < plan.threads) all.push_back(check_threads_of_group(*limit, plan));
  return all;
}

Findings check_sizes(const Machine& machine, const Plan& plan) {
  return {check_file_size(machine), check_address_space(machine, plan)};
}

Findings check_files(const Machine& machine, const Plan& plan) {
  const std::string fact =
      fmt::format("{} (at most {}), {} needed", machine.files_soft, machine.files_hard, plan.files);
  if (machine.files_soft >= plan.files) return {{Health::ok, "open files", fact, "", ""}};
  const std::string fix = fmt::format("{1}ulimit -n {0}, or LimitNOFILE={0} in the server's systemd unit", plan.files,
                                      machine.files_hard < plan.files ? kRoot : "");
  if (machine.files_hard < plan.files)
    return {{Health::broken, "open files", fact, "some connections cannot be accepted", fix}};
  return {
      {Health::degraded, "open files", fact, "some connections cannot be accepted, unless the server raises it", fix}};
}

}  // namespace weir::tool
