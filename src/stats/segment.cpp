#include "stats/segment.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "os/numa.h"
#include "os/process.h"
#include "os/segment_file.h"
#include "stats/fields.h"

namespace weir::detail {
namespace {

constinit bool fork_child = false;

void note_fork() { fork_child = true; }

/// Makes the file, and has children of fork told that they have none. Returns 0 or -errno, then with nothing left.
int prepare_file(os::SegmentFile& file) {
  int error = os::make_segment_file(os::kSegmentFileName, sizeof(Segment), file);
  if (error != 0) return error;
  error = os::populate_segment(file.data, offsetof(Segment, borrows));
  if (error == 0) error = os::on_fork(note_fork);
  if (error != 0) os::remove_segment_file(file, sizeof(Segment));
  return error;
}

/// What keeps a process from having a memory file, and what helps.
const char* advice_on(int error) {
  switch (-error) {
    case EMFILE:
    case ENFILE:
      return "raise the limit on open files with `ulimit -n 4096`";
    case EPERM:
    case EACCES:
    case ENOSYS:
      return "a sandbox forbids it: have its seccomp filter allow memfd_create, ftruncate, fcntl, mremap and mprotect";
    default:
      return "raise the limit on address space with `ulimit -v unlimited`, or free memory";
  }
}

Segment* make_segment() {
  os::SegmentFile file;
  const int error = prepare_file(file);
  if (error != 0) refuse_memory_file("the statistics segment (of 705 MiB, nearly all of it a hole)", error);
  auto* made = new (file.data) SegmentHeader{};
  made->magic = kSegmentMagic;
  made->version = kSegmentVersion;
  made->process_id = os::process_id();
  made->file_bytes = sizeof(Segment);
  const auto& nodes = os::memory_nodes();
  made->node_count = static_cast<std::uint32_t>(std::min<std::size_t>(nodes.size(), kMaxNodes));
  std::copy_n(nodes.begin(), made->node_count, made->nodes.begin());
  write_tables(*reinterpret_cast<Segment*>(file.data));
  os::program_name().copy(made->program.data(), made->program.size() - 1);
  return reinterpret_cast<Segment*>(file.data);
}

}  // namespace

void refuse_memory_file(const std::string& what, int error) {
  throw Error(-error, "cannot make " + what + ": " + std::strerror(-error) + "; " + advice_on(error));
}

Segment& segment() {
  static Segment* const made = make_segment();
  return *made;
}

/// Never destroyed, as all that threads may use while the process ends.
std::mutex& registry_mutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

bool is_fork_child() { return fork_child; }

}  // namespace weir::detail
