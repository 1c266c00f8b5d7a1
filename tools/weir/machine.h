#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/control_group.h"
#include "os/process.h"
#include "uring_probe.h"

namespace weir::tool {

/// The pages of one size that a node has reserved.
struct HugePages {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

struct NodeFacts {
  int number = 0;
  bool has_cpus = false;
  bool has_memory = false;      ///< that this process may use
  std::uint64_t available = 0;  ///< bytes that are free or of files, beside huge pages
  HugePages huge{};             ///< of 2 MiB
  HugePages giant{};            ///< of 1 GiB
};

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  auto operator<=>(const KernelVersion&) const = default;  // NOLINT(modernize-use-nullptr): there is none
};

/// What decides how well weir can work on a machine, for this user. Values, so that checks can be tried on any.
struct Machine {
  std::string release;
  KernelVersion kernel;
  unsigned cpus = 0;  ///< that this process may use
  std::vector<NodeFacts> nodes;
  int bind_error = 0;               ///< of binding memory to a node: 0 or -errno
  std::string transparent;          ///< always, madvise or never; empty: the kernel has none
  std::uint64_t memlock_limit = 0;  ///< bytes
  bool may_exceed_memlock = false;
  std::optional<os::GroupLimit> huge_limit;  ///< of control groups, on pages of 2 MiB
  std::optional<os::GroupLimit> memory_limit;
  std::uint64_t swap_bytes = 0;
  std::uint64_t files_soft = 0;
  std::uint64_t files_hard = 0;
  std::optional<os::GroupLimit> task_limit;    ///< of control groups, on threads
  std::uint64_t thread_limit = UINT64_MAX;     ///< of this user; as the next ones, UINT64_MAX where there is none
  bool may_exceed_threads = false;             ///< the user is not held to it
  std::uint64_t user_threads = 0;              ///< that the user has
  std::uint64_t file_size_limit = UINT64_MAX;  ///< bytes
  std::uint64_t address_space_limit = UINT64_MAX;
  UringFacts uring;

  /// Those that a pool takes memory from.
  std::vector<NodeFacts> memory_nodes() const;
};

Machine read_machine();

}  // namespace weir::tool
