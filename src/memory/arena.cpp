#include "memory/arena.h"

#include <linux/capability.h>
#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/units.h"
#include "os/control_group.h"
#include "os/memory.h"
#include "os/numa.h"
#include "os/process.h"

namespace weir::detail {
namespace {

using base::format_size;
using os::PageKind;

struct Rung {
  PageKind kind;
  std::size_t page_bytes;
  const char* name;
};

constexpr std::array kLadder{Rung{PageKind::huge_tlb_1g, kGiantPage, "1 GiB hugetlb"},
                             Rung{PageKind::huge_tlb_2m, base::kHugePage, "2 MiB hugetlb"},
                             Rung{PageKind::transparent_huge, base::kHugePage, "transparent huge pages"},
                             Rung{PageKind::small, base::kSmallPage, "4 KiB pages"}};

/// The rung that is asked for: what is lower is a step down. `automatic` is content with 2 MiB, and has more where that
/// is to be had.
std::size_t wanted_rung(Pages pages) {
  switch (pages) {
    case Pages::huge_1g:
      return 0;
    case Pages::automatic:
    case Pages::huge_2m:
      return 1;
    case Pages::transparent:
      return 2;
    case Pages::small:
      return 3;
  }
  return 0;
}

std::string joined(const std::string& first, const std::string& second) {
  return first + (first.empty() || second.empty() ? "" : "; ") + second;
}

void add_reason(Grade& grade, const std::string& text) { grade.reason = joined(grade.reason, text); }

std::string with_error(const std::string& text, int error) { return text + " (" + std::strerror(-error) + ")"; }

std::string huge_page_advice(const Rung& rung, const Grade& grade) {
  const auto limit = os::hugetlb_limit(rung.page_bytes);
  if (limit && limit->left() < grade.bytes) {
    return "the control group's limit is " + format_size(limit->bytes) + ", of which " + format_size(limit->used) +
           " are used: as root, echo " + std::to_string(limit->used + grade.bytes) + " >" + limit->file;
  }
  const std::string pages = std::to_string(grade.bytes / rung.page_bytes);
  const std::string node = std::to_string(grade.node);
  return "node " + node + " has not " + pages + " free huge pages of " + format_size(rung.page_bytes) +
         ": as root, raise /sys/devices/system/node/node" + node + "/hugepages/hugepages-" +
         std::to_string(rung.page_bytes / base::kKiB) + "kB/nr_hugepages by " + pages;
}

/// Brings every page in. A missing page is an error here, never a SIGBUS later.
int populate(std::byte* base, std::size_t bytes, const Rung& rung) {
  const int error = os::populate(base, bytes);
  if (error != -EINVAL) return error;  // Linux before 5.14
  if (os::is_huge_tlb(rung.kind)) return os::populate_by_kernel(base, bytes, rung.page_bytes);
  os::populate_by_touch(base, bytes);
  return 0;
}

/// Asks the kernel whether every page of the arena is on its node.
void verify_node(const std::byte* base, Grade& grade) {
  const std::size_t pages = grade.bytes / grade.page_bytes;
  std::vector<void*> addresses(pages);
  std::vector<int> nodes(pages, -1);
  for (std::size_t i = 0; i < pages; ++i) addresses[i] = const_cast<std::byte*>(base) + i * grade.page_bytes;
  const int error = os::query_nodes(addresses, nodes);
  const auto here = static_cast<std::size_t>(std::count(nodes.begin(), nodes.end(), grade.node));
  grade.bound = error == 0 && here == pages;
  if (error != 0) {
    add_reason(grade, with_error("the kernel does not tell on which node its pages are", error));
  } else if (!grade.bound) {
    add_reason(grade, std::to_string(pages - here) + " of its " + std::to_string(pages) + " pages are not on it");
  }
}

void grade_transparent(std::byte* base, Grade& grade) {
  const std::size_t huge = os::transparent_huge_bytes(base, grade.bytes);
  if (huge == grade.bytes) return;
  grade.page_bytes = base::kSmallPage;
  add_reason(grade, "transparent huge pages back " + format_size(huge) + " of " + format_size(grade.bytes) +
                        ": see /sys/kernel/mm/transparent_hugepage/enabled, or reserve huge pages");
}

/// A memlock limit that is enough for all that the pool may ever lock, beside what the process has locked now.
std::uint64_t memlock_needed(const Options& options) {
  const std::size_t pool = std::max(options.bytes, options.max_bytes);
  return os::locked_bytes() + base::round_up(pool, os::memory_nodes().size() * base::kHugePage);
}

std::string why_not_locked(const Options& options, int error) {
  const std::string text = "not locked, so it may be swapped";
  const std::uint64_t limit = os::soft_limit(RLIMIT_MEMLOCK);
  const std::uint64_t needed = memlock_needed(options);
  if (needed <= limit || os::has_privilege(CAP_IPC_LOCK)) return with_error(text, error);
  const std::string kib = std::to_string(needed / base::kKiB);
  return text + ": the memlock limit is " + format_size(limit) + ", and " + format_size(needed) +
         " are needed: `ulimit -l " + kib + "`, or LimitMEMLOCK=" + kib + "K in its systemd unit";
}

/// The kernel looks at the limit before it locks anything, so that to ask is to try.
void lock_pages(std::byte* base, Grade& grade, const Options& options) {
  if (grade.huge_tlb) {
    grade.locked = true;  // hugetlb pages are never swapped
    return;
  }
  const int error = os::lock(base, grade.bytes);
  grade.locked = error == 0;
  if (error != 0) add_reason(grade, why_not_locked(options, error));
}

/// Maps, binds and populates: 0, or -errno with the range reserved again.
int get_memory(const Rung& rung, std::byte* base, Grade& grade) {
  int error = os::map_at(base, grade.bytes, rung.kind);
  if (error != 0) return error;
  const int not_bound = os::bind_to_node(base, grade.bytes, grade.node);
  error = os::exclude_from_fork(base, grade.bytes);
  if (error == 0) error = populate(base, grade.bytes, rung);
  if (error != 0) {
    os::unmap_to_reserved(base, grade.bytes);
    return error;
  }
  if (not_bound != 0) add_reason(grade, with_error("not bound to its node", not_bound));
  return 0;
}

std::string why_not(const Rung& rung, const Grade& grade, int error) {
  const std::string no = std::string("no ") + rung.name + ": ";
  if (!os::is_huge_tlb(rung.kind) || (error != -ENOMEM && error != -EFAULT))
    return with_error(no + "refused by the kernel", error);
  return no + huge_page_advice(rung, grade);
}

/// Empty where no control group's limit is in the way. It says the same until that changes, however much is used.
std::string why_beyond_group(std::size_t bytes) {
  const auto limit = os::memory_limit();
  const std::uint64_t needed = needed_of_group(bytes);
  if (!limit || limit->left() >= needed) return {};
  return "the control group's limit of " + format_size(limit->bytes) + " has no room for it: as root, raise " +
         limit->file + " by " + format_size(needed);
}

/// As try_rung(), for what a control group may have alone.
int refuse_beyond_group(const Rung& rung, Grade& grade) {
  if (os::is_huge_tlb(rung.kind)) return 0;
  const std::string why = why_beyond_group(grade.bytes);
  if (why.empty()) return 0;
  if (!grade.reason.ends_with(why)) add_reason(grade, why);
  return -ENOMEM;
}

bool is_multiple(const Arena& arena, const Rung& rung) {
  return arena.grade.bytes % rung.page_bytes == 0 &&
         reinterpret_cast<std::uintptr_t>(arena.base) % rung.page_bytes == 0;
}

/// One rung of the ladder: 0 with the arena graded, or -errno with the reason noted.
int try_rung(const Rung& rung, Arena& arena, const Options& options) {
  Grade& grade = arena.grade;
  if (!is_multiple(arena, rung)) {
    const bool odd = grade.bytes % rung.page_bytes != 0;
    add_reason(grade, std::string("no ") + rung.name + ": " +
                          (odd ? format_size(grade.bytes) : "its place in the pool's address space") +
                          " is no multiple of " + format_size(rung.page_bytes));
    return -EINVAL;
  }
  int error = refuse_beyond_group(rung, grade);
  if (error != 0) return error;
  error = get_memory(rung, arena.base, grade);
  if (error != 0) {
    add_reason(grade, why_not(rung, grade, error));
    return error;
  }
  grade.populated = true;
  grade.page_bytes = rung.page_bytes;
  grade.huge_tlb = os::is_huge_tlb(rung.kind);
  if (rung.kind == PageKind::transparent_huge) grade_transparent(arena.base, grade);
  verify_node(arena.base, grade);
  lock_pages(arena.base, grade, options);
  return 0;
}

/// The rung above the wanted one, for which there need be no reason.
int try_better(Arena& arena, const Options& options) {
  const bool may = options.pages == Pages::automatic && is_multiple(arena, kLadder.front());
  return may ? try_rung(kLadder.front(), arena, options) : -ENOENT;
}

}  // namespace

Reservation::Reservation(std::size_t bytes)
    : bytes_(bytes), base_(os::reserve(bytes_, bytes < kGiantPage ? base::kHugePage : kGiantPage)) {
  if (base_ == nullptr) {
    throw Error(ENOMEM, "cannot reserve " + format_size(bytes) +
                            " of address space: lower WEIR_BYTES, or raise the limit with `ulimit -v unlimited`");
  }
}

Reservation::~Reservation() { os::release(base_, bytes_); }

Arena map_arena(std::byte* base, std::size_t bytes, int node, const Options& options) {
  Arena arena{.base = base, .grade = {}};
  arena.grade.node = node;
  arena.grade.bytes = bytes;
  const std::size_t wanted = wanted_rung(options.pages);
  const std::size_t last = options.strict ? wanted + 1 : kLadder.size();
  int error = try_better(arena, options);
  const std::string no_better = error == 0 ? "" : std::exchange(arena.grade.reason, {});
  for (std::size_t i = wanted; i < last && error != 0; ++i) error = try_rung(kLadder.at(i), arena, options);
  const bool whole = arena.grade.reason.empty();
  arena.grade.reason = joined(no_better, arena.grade.reason);
  const std::string want = format_size(bytes) + " of " + kLadder.at(wanted).name + " on node " + std::to_string(node);
  if (error != 0) throw Error(-error, "cannot get " + want + ": " + arena.grade.reason + "; or lower WEIR_BYTES");
  if (options.strict && !whole) {
    os::unmap_to_reserved(base, bytes);
    throw Error(ENOMEM, "WEIR_STRICT=1 and " + want + " is not to be had whole: " + arena.grade.reason);
  }
  return arena;
}

}  // namespace weir::detail
