#include "process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "failure.h"
#include "text.h"

namespace weir::tool {
namespace {

namespace fs = std::filesystem;

std::optional<pid_t> parse_id(std::string_view text) {
  pid_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return id;
}

/// The folders of a folder that are named by numbers.
std::vector<pid_t> ids_in(const std::string& folder) {
  std::vector<pid_t> ids;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (const auto id = parse_id(entry->path().filename().string())) ids.push_back(*id);
  }
  return ids;
}

/// What is of the process, and what is of the thread that was asked for.
struct Status {
  Process process{};
  bool thread_ended = false;
  std::uint32_t own_thread = 0;  ///< what the thread calls itself
  unsigned threads = 0;
};

/// Of numbers, one a namespace, the last is the innermost's. Returns how many there are.
unsigned read_last(std::istringstream& values, std::uint32_t& number) {
  unsigned count = 0;
  for (std::uint32_t each = 0; values >> each; ++count) number = each;
  return count;
}

/// One line of /proc/PID/status.
void take_field(Status& status, const std::string& name, std::istringstream& values) {
  Process& process = status.process;
  if (name == "Name:") {
    std::getline(values >> std::ws, process.name);
    process.name = printable(process.name);
  } else if (name == "State:") {
    char state = 0;
    values >> state;
    status.thread_ended = state == 'Z' || state == 'X';
  } else if (name == "Tgid:") {
    values >> process.id;
  } else if (name == "Uid:") {
    values >> process.user;
  } else if (name == "NStgid:") {
    process.nested = read_last(values, process.own_id) > 1;
  } else if (name == "NSpid:") {
    read_last(values, status.own_thread);
  } else if (name == "Threads:") {
    values >> status.threads;
  }
}

std::optional<Status> read_status(pid_t id) {
  std::ifstream file(fmt::format("/proc/{}/status", id));
  if (!file) return std::nullopt;
  Status status;
  for (std::string line; std::getline(file, line);) {
    std::istringstream values(line);
    std::string name;
    values >> name;
    take_field(status, name, values);
  }
  return status;
}

/// One that lives, if there is any.
std::optional<pid_t> living_thread(pid_t process) {
  for (const pid_t id : ids_in(fmt::format("/proc/{}/task", process))) {
    const auto status = read_status(id);
    if (status && !status->thread_ended) return id;
  }
  return std::nullopt;
}

void require_proc() {
  std::error_code error;
  if (fs::exists("/proc/self/status", error)) return;
  throw Failure("/proc is not that of this PID namespace, or not mounted: as root, mount -t proc proc /proc");
}

bool is_there(pid_t id) { return kill(id, 0) == 0 || errno == EPERM; }

}  // namespace

std::string Process::file(const std::string& of_it) const { return fmt::format("/proc/{}/{}", thread, of_it); }

std::optional<Process> find_process(pid_t id) {
  auto status = read_status(id);
  if (status && status->process.id != id) status = read_status(status->process.id);
  if (!status) return std::nullopt;
  Process& process = status->process;
  process.thread = process.id;
  if (!status->thread_ended) return process;
  const auto other = status->threads > 1 ? living_thread(process.id) : std::nullopt;
  process.ended = !other;
  process.thread = other.value_or(process.id);
  return process;
}

std::map<std::uint32_t, std::uint32_t> thread_numbers(const Process& process) {
  std::map<std::uint32_t, std::uint32_t> numbers;
  if (!process.nested) return numbers;
  for (const pid_t id : ids_in(process.file("task"))) {
    if (const auto status = read_status(id)) numbers[status->own_thread] = static_cast<std::uint32_t>(id);
  }
  return numbers;
}

Process living_process(pid_t id, const std::string& command) {
  auto process = find_process(id);
  if (!process) {
    require_proc();
    if (is_there(id)) {
      throw Failure(fmt::format("/proc hides process {} (it is mounted with hidepid), and you may not look into it: {}",
                                id, who_may(fmt::format("{} {}", command, id))));
    }
    throw Failure(fmt::format("there is no process {}: `weir ls` lists those that have pools", id));
  }
  if (process->ended) throw Failure(fmt::format("process {} ({}) has ended", process->id, process->name));
  return *process;
}

std::vector<pid_t> all_processes() {
  require_proc();
  return ids_in("/proc");
}

void require_own_proc() {
  std::error_code error;
  if (fs::read_symlink("/proc/self", error) == fmt::to_string(getpid())) return;
  throw Failure("/proc is of another PID namespace than this: run it where the two agree (unshare has --mount-proc)");
}

bool hides_processes() {
  std::error_code error;
  return !fs::exists("/proc/1/status", error);
}

bool is_refusal(const std::error_code& error) {
  return error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
}

std::string who_may(const std::string& command) {
  if (geteuid() != 0) return fmt::format("try `sudo weir {}`", command);
  return fmt::format(
      "root needs CAP_SYS_PTRACE for that, in the process's user namespace: try `sudo weir {}` outside of this "
      "container, or start it with --cap-add SYS_PTRACE",
      command);
}

void refuse_look(const Process& process, const std::string& command) {
  const std::string whose = process.user == geteuid()
                                ? "has privileges that you have not, or is kept from being looked at"
                                : fmt::format("is of user {}", process.user);
  throw Failure(fmt::format("process {} ({}) {}, and you may not look into it: {}", process.id, process.name, whose,
                            who_may(fmt::format("{} {}", command, process.id))));
}

}  // namespace weir::tool
