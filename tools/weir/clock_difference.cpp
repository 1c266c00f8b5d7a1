#include "clock_difference.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace weir::tool {
namespace {

using std::chrono::nanoseconds;

/// "time:[4026531834]"; empty before Linux 5.6, which has no such namespaces.
std::string link_of(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error);
}

/// From the machine's clock. The kernel tells it of the namespace of a process's children, which is its own, or not
/// yet.
std::optional<nanoseconds> offset_in(const std::string& folder) {
  if (link_of(folder + "/ns/time") != link_of(folder + "/ns/time_for_children")) return std::nullopt;
  std::ifstream offsets(folder + "/timens_offsets");
  std::string clock;
  std::int64_t seconds = 0;
  std::int64_t rest = 0;
  while (offsets >> clock >> seconds >> rest) {
    if (clock == "monotonic") return std::chrono::seconds(seconds) + nanoseconds(rest);
  }
  return std::nullopt;
}

}  // namespace

std::optional<nanoseconds> clock_difference(const Process& process) {
  const std::string own = "/proc/self";
  if (link_of(own + "/ns/time") == link_of(process.file("ns/time"))) return nanoseconds(0);
  const auto from = offset_in(own);
  const auto to = offset_in(process.file("."));
  return from && to ? std::optional(*to - *from) : std::nullopt;
}

}  // namespace weir::tool
