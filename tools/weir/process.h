#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace weir::tool {

/// A process as /proc shows it.
struct Process {
  pid_t id = 0;
  pid_t thread = 0;  ///< through which it is looked into: its first, or another where that one has ended
  std::string name;
  bool ended = false;  ///< a zombie: only its parent has not noticed yet
  uid_t user = 0;
  std::uint32_t own_id = 0;  ///< what it calls itself: in a container, another number than `id`
  bool nested = false;       ///< it is in a PID namespace below this one

  /// "/proc/ID/NAME", of the thread that is looked through.
  std::string file(const std::string& name) const;
};

/// Empty when /proc shows no such process. The id may be a thread's: then it is the process of that.
std::optional<Process> find_process(pid_t id);

/// The numbers that its threads have here, by those that they call themselves; empty when they are the same.
std::map<std::uint32_t, std::uint32_t> thread_numbers(const Process& process);

/// Throws Failure: there is none, it has ended, or it is hidden. `command` is the subcommand that asks.
Process living_process(pid_t id, const std::string& command);

/// Throws Failure where there is no /proc.
std::vector<pid_t> all_processes();

/// For who asks the kernel beside /proc: throws Failure where /proc has other numbers, of another PID namespace.
void require_own_proc();

/// Whether /proc keeps the processes of other users to itself.
bool hides_processes();

bool is_refusal(const std::error_code& error);

/// How somebody may look who now may not.
std::string who_may(const std::string& command);

/// Throws the Failure which says that the caller may not look into it, and who may.
[[noreturn]] void refuse_look(const Process& process, const std::string& command);

}  // namespace weir::tool
