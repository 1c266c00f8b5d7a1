#include "core/segment.h"

#include <weir/error.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "core/fields.h"
#include "core/threads.h"
#include "os/numa.h"
#include "os/process.h"

namespace weir::detail {
namespace {

constinit bool fork_child = false;

/// All memory of the pools is absent here: lends must not find a magazine.
void forget_parent() {
  fork_child = true;
  detach_thread();
}

/// Makes the file, and has children of fork told that they have none. Returns 0 or -errno, then with nothing left.
int prepare_file(os::SegmentFile& file) {
  int error = os::make_segment_file(os::kSegmentFileName, sizeof(Segment), file);
  if (error != 0) return error;
  error = os::populate_segment(file, file.data, offsetof(Segment, borrows));
  if (error == 0) error = os::on_fork(forget_parent);
  if (error != 0) os::remove_segment_file(file, sizeof(Segment));
  return error;
}

os::SegmentFile make_file() {
  os::SegmentFile file;
  const int error = prepare_file(file);
  if (error != 0) {
    throw Error(-error,
                "cannot make the statistics segment (a memfd of 705 MiB, nearly all of it a hole): raise the "
                "limits on address space and files with `ulimit -v unlimited -f unlimited`");
  }
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
  return file;
}

}  // namespace

const os::SegmentFile& segment_file() {
  static const os::SegmentFile file = make_file();
  return file;
}

Segment& segment() { return *reinterpret_cast<Segment*>(segment_file().data); }

/// Never destroyed, as all that threads may use while the process ends.
std::mutex& registry_mutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

bool is_fork_child() { return fork_child; }

}  // namespace weir::detail
