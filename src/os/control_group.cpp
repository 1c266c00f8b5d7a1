#include "os/control_group.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <sstream>

#include "os/file.h"

namespace weir::os {
namespace {

/// What the two versions call the same things.
struct Version {
  const char* file_system;
  const char* limit;
  const char* used;
  std::array<const char*, 3> reclaimable;  ///< of memory, in its .stat: with all groups below
};

constexpr Version kFirst{
    "cgroup", ".limit_in_bytes", ".usage_in_bytes", {"total_inactive_file ", "total_active_file ", nullptr}};
constexpr Version kSecond{"cgroup2", ".max", ".current", {"inactive_file ", "active_file ", "slab_reclaimable "}};

/// A hierarchy that is mounted.
struct Mount {
  std::string root;  ///< the group that is seen at `place`
  std::string place;
};

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

/// The mount that a line of mountinfo is of, where it is of the version and has the controller; the second has all.
std::optional<Mount> mount_in(const std::string& line, const Version& version, const std::string& controller) {
  std::istringstream fields(line);
  std::string skipped;
  Mount mount;
  fields >> skipped >> skipped >> skipped >> mount.root >> mount.place;
  while (fields >> skipped && skipped != "-") continue;
  std::string file_system;
  std::string options;
  fields >> file_system >> skipped >> options;
  if (file_system != version.file_system) return {};
  if (&version == &kFirst && !has_word(options, controller)) return {};
  return mount;
}

std::optional<Mount> find_mount(const Version& version, const std::string& controller) {
  for (const std::string& line : lines_of("/proc/self/mountinfo")) {
    if (std::optional<Mount> mount = mount_in(line, version, controller)) return mount;
  }
  return {};
}

/// The process's group in that hierarchy, by /proc/self/cgroup.
std::optional<std::string> own_group(const Version& version, const std::string& controller) {
  for (const std::string& line : lines_of("/proc/self/cgroup")) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_it = &version == &kFirst ? has_word(controllers, controller) : controllers.empty();
    if (is_it) return line.substr(second + 1);
  }
  return {};
}

/// The folder of a group; the mount's own where the group lies outside of what is seen, as in a container.
std::string folder_of(const Mount& mount, const std::string& group) {
  const std::string root = mount.root == "/" ? "" : mount.root;
  const bool inside = group.starts_with(root + "/") && !group.starts_with("/..");
  std::string folder = mount.place + (inside ? group.substr(root.size()) : "");
  while (folder.size() > mount.place.size() && folder.back() == '/') folder.pop_back();
  return folder;
}

std::uint64_t reclaimable_in(const std::string& file, const Version& version) {
  std::uint64_t bytes = 0;
  for (const char* key : version.reclaimable) {
    if (key != nullptr) bytes += number_of(file, key, 10);
  }
  return bytes;
}

/// `kind` is what the names of its files begin with.
std::optional<GroupLimit> limit_in(const std::string& group, const std::string& kind, const Version& version) {
  constexpr std::uint64_t kNone = std::uint64_t{1} << 62;     // the first version says so by a number beyond all memory
  const Version& names = kind == "pids" ? kSecond : version;  // of which both versions have one
  GroupLimit limit;
  limit.file = group + "/" + kind + names.limit;
  const std::string text = line_of(limit.file, "").value_or("max");
  limit.bytes = text == "max" ? kNone : std::strtoull(text.c_str(), nullptr, 10);
  if (limit.bytes >= kNone) return {};
  limit.used = number_of(group + "/" + kind + names.used, "", 10);
  if (kind == "memory") limit.used -= std::min(limit.used, reclaimable_in(group + "/memory.stat", version));
  return limit;
}

/// In the process's group and those above it, of both versions.
std::optional<GroupLimit> least_limit(const std::string& controller, std::initializer_list<std::string> kinds) {
  std::optional<GroupLimit> least;
  for (const Version* version : {&kFirst, &kSecond}) {
    const std::optional<Mount> mount = find_mount(*version, controller);
    const std::optional<std::string> own = own_group(*version, controller);
    if (!mount || !own) continue;
    std::string group = folder_of(*mount, *own);
    for (; group.size() >= mount->place.size(); group.resize(group.rfind('/'))) {
      for (const std::string& kind : kinds) {
        const std::optional<GroupLimit> limit = limit_in(group, kind, *version);
        if (limit && (!least || limit->left() < least->left())) least = limit;
      }
    }
  }
  return least;
}

}  // namespace

std::optional<GroupLimit> hugetlb_limit(std::size_t page_bytes) {
  const bool giant = page_bytes >> 30 != 0;
  const std::string used = "hugetlb." + std::to_string(page_bytes >> (giant ? 30 : 20)) + (giant ? "GB" : "MB");
  return least_limit("hugetlb", {used, used + ".rsvd"});
}

std::optional<GroupLimit> memory_limit() { return least_limit("memory", {"memory"}); }

std::optional<GroupLimit> task_limit() { return least_limit("pids", {"pids"}); }

}  // namespace weir::os
