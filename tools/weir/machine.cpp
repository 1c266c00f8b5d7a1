#include "machine.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "base/units.h"
#include "os/memory.h"
#include "os/numa.h"
#include "stats/segment.h"

namespace weir::tool {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNodes = "/sys/devices/system/node";

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint64_t number_of(const std::string& path) {
  std::uint64_t number = 0;
  std::ifstream(path) >> number;
  return number;
}

/// Bytes of a line "NAME: N kB", maybe with "Node 0" before it; 0 when there is none.
std::uint64_t field_of(const std::string& meminfo, const std::string& name) {
  const std::size_t at = meminfo.find(name + ":");
  if (at == std::string::npos) return 0;
  std::istringstream rest(meminfo.substr(at + name.size() + 1));
  std::uint64_t kib = 0;
  rest >> kib;
  return kib * base::kKiB;
}

HugePages huge_pages_in(const std::string& folder, std::size_t page_bytes) {
  const std::string kind = fmt::format("{}/hugepages-{}kB/", folder, page_bytes / base::kKiB);
  return {.total = number_of(kind + "nr_hugepages"), .free = number_of(kind + "free_hugepages")};
}

NodeFacts read_node(int number, const std::string& meminfo_path, const std::string& huge_folder) {
  const std::string meminfo = text_of(meminfo_path);
  const std::vector<int>& usable = os::memory_nodes();
  NodeFacts node{.number = number};
  node.has_memory = std::find(usable.begin(), usable.end(), number) != usable.end();
  for (const char* part : {"MemFree", "Active(file)", "Inactive(file)"}) node.available += field_of(meminfo, part);
  node.huge = huge_pages_in(huge_folder, base::kHugePage);
  node.giant = huge_pages_in(huge_folder, std::size_t{1} << 30);
  return node;
}

/// Where the kernel shows no nodes, all memory is of node 0.
std::vector<NodeFacts> read_nodes() {
  std::vector<NodeFacts> nodes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kNodes, error)) {
    const std::string path = entry.path().string();
    int number = 0;
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("node") ||
        std::from_chars(name.data() + 4, name.data() + name.size(), number).ec != std::errc{})
      continue;
    nodes.push_back(read_node(number, path + "/meminfo", path + "/hugepages"));
    nodes.back().has_cpus = text_of(path + "/cpulist").find_first_of("0123456789") != std::string::npos;
  }
  if (nodes.empty()) {
    nodes.push_back(read_node(0, "/proc/meminfo", "/sys/kernel/mm/hugepages"));
    nodes.back().has_cpus = true;
  }
  std::sort(nodes.begin(), nodes.end(), [](auto& a, auto& b) { return a.number < b.number; });
  return nodes;
}

/// Of "always [madvise] never", what is in brackets.
std::string read_transparent() {
  const std::string text = text_of("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = text.find('[');
  const std::size_t end = text.find(']');
  return open < end && end != std::string::npos ? text.substr(open + 1, end - open - 1) : "";
}

int try_to_bind() {
  std::byte* const memory = os::reserve(base::kSmallPage, base::kSmallPage);
  if (memory == nullptr) return -ENOMEM;
  int error = os::map_at(memory, base::kSmallPage, os::PageKind::small);
  if (error == 0) error = os::bind_to_node(memory, base::kSmallPage, os::memory_nodes().front());
  os::release(memory, base::kSmallPage);
  return error;
}

/// The number after a name that begins a line of /proc/PID/status.
std::uint64_t status_number(const std::string& status, const std::string& name) {
  const std::size_t at = status.find("\n" + name + ":");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + name.size() + 2, nullptr, 10);
}

std::uint64_t threads_of_user() {
  std::uint64_t threads = 0;
  std::error_code error;
  fs::directory_iterator entry("/proc", error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string status = text_of(entry->path().string() + "/status");
    if (status_number(status, "Pid") != 0 && status_number(status, "Uid") == getuid())
      threads += status_number(status, "Threads");
  }
  return threads;
}

/// The machine's root, and who has one of two privileges.
bool may_exceed_threads() {
  return getuid() == 0 || os::has_privilege(CAP_SYS_ADMIN) || os::has_privilege(CAP_SYS_RESOURCE);
}

void read_process_limits(Machine& machine) {
  machine.task_limit = os::task_limit();
  machine.thread_limit = os::soft_limit(RLIMIT_NPROC);
  machine.may_exceed_threads = may_exceed_threads();
  machine.user_threads = threads_of_user();
  machine.file_size_limit = os::soft_limit(RLIMIT_FSIZE);
  machine.address_space_limit = os::soft_limit(RLIMIT_AS);
}

unsigned usable_cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

}  // namespace

std::vector<NodeFacts> Machine::memory_nodes() const {
  std::vector<NodeFacts> with_memory;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(with_memory),
               [](const NodeFacts& node) { return node.has_memory; });
  with_memory.resize(std::min<std::size_t>(with_memory.size(), detail::kMaxNodes));
  return with_memory;
}

Machine read_machine() {
  Machine machine;
  utsname name{};
  if (uname(&name) == 0) machine.release = static_cast<const char*>(name.release);
  std::sscanf(machine.release.c_str(), "%u.%u", &machine.kernel.major, &machine.kernel.minor);  // NOLINT(cert-err34-c)
  machine.cpus = usable_cpus();
  machine.nodes = read_nodes();
  machine.bind_error = try_to_bind();
  machine.transparent = read_transparent();
  machine.memlock_limit = os::soft_limit(RLIMIT_MEMLOCK);
  machine.may_exceed_memlock = os::has_privilege(CAP_IPC_LOCK);
  machine.huge_limit = os::hugetlb_limit(base::kHugePage);
  machine.memory_limit = os::memory_limit();
  machine.swap_bytes = field_of(text_of("/proc/meminfo"), "SwapTotal");
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  machine.files_soft = files.rlim_cur;
  machine.files_hard = files.rlim_max;
  read_process_limits(machine);
  machine.uring = probe_uring(machine.cpus);
  return machine;
}

}  // namespace weir::tool
