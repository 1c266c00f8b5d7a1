#include "core/arena.h"

#include <weir/error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/units.h"
#include "os/memory.h"
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

constexpr std::array kLadder{Rung{PageKind::huge_tlb_2m, base::kHugePage, "2 MiB hugetlb"},
                             Rung{PageKind::transparent_huge, base::kHugePage, "transparent huge pages"},
                             Rung{PageKind::small, base::kSmallPage, "4 KiB pages"}};

std::size_t first_rung(Pages pages) {
  switch (pages) {
    case Pages::automatic:
    case Pages::huge_2m:
      return 0;
    case Pages::transparent:
      return 1;
    case Pages::small:
      return 2;
  }
  return 0;
}

void add_reason(Grade& grade, const std::string& text) { grade.reason += (grade.reason.empty() ? "" : "; ") + text; }

std::string with_error(const std::string& text, int error) { return text + " (" + std::strerror(-error) + ")"; }

std::string huge_page_advice(std::size_t bytes, int node) {
  const std::string pages = std::to_string(bytes / base::kHugePage);
  return "node " + std::to_string(node) + " has not " + pages +
         " free huge pages: as root, raise /proc/sys/vm/nr_hugepages by " + pages;
}

/// Brings every page in. A missing page is an error here, never a SIGBUS later.
int populate(std::byte* base, std::size_t bytes, PageKind kind) {
  const int error = os::populate(base, bytes);
  if (error != -EINVAL || kind == PageKind::huge_tlb_2m) return error;
  os::populate_by_touch(base, bytes);  // Linux before 5.14
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
    add_reason(grade, std::to_string(pages - here) + " of its " + std::to_string(pages) + " pages are on another node");
  }
}

void grade_transparent(const std::byte* base, Grade& grade) {
  const std::size_t huge = os::transparent_huge_bytes(base, grade.bytes);
  if (huge == grade.bytes) return;
  grade.page_bytes = base::kSmallPage;
  add_reason(grade, "transparent huge pages back " + format_size(huge) + " of " + format_size(grade.bytes) +
                        ": see /sys/kernel/mm/transparent_hugepage/enabled, or reserve huge pages");
}

void lock_pages(std::byte* base, Grade& grade) {
  if (grade.huge_tlb) {
    grade.locked = true;  // hugetlb pages are never swapped
    return;
  }
  const int error = os::lock(base, grade.bytes);
  grade.locked = error == 0;
  if (error != 0) {
    add_reason(grade, with_error("not locked, so it may be swapped: the memlock limit is " +
                                     format_size(os::memlock_limit()) + "; raise it with `ulimit -l unlimited`",
                                 error));
  }
}

/// Maps, binds and populates: 0, or -errno with the range reserved again.
int get_memory(const Rung& rung, std::byte* base, Grade& grade) {
  int error = os::map_at(base, grade.bytes, rung.kind);
  if (error != 0) return error;
  const int not_bound = os::bind_to_node(base, grade.bytes, grade.node);
  error = os::exclude_from_fork(base, grade.bytes);
  if (error == 0) error = populate(base, grade.bytes, rung.kind);
  if (error != 0) {
    os::unmap_to_reserved(base, grade.bytes);
    return error;
  }
  if (not_bound != 0) add_reason(grade, with_error("not bound to its node", not_bound));
  return 0;
}

std::string why_not(const Rung& rung, const Grade& grade, int error) {
  const std::string no = std::string("no ") + rung.name + ": ";
  if (rung.kind != PageKind::huge_tlb_2m) return with_error(no + "refused by the kernel", error);
  if (error == -EINVAL) return no + "they cannot be populated safely before Linux 5.14";
  return no + huge_page_advice(grade.bytes, grade.node);
}

/// One rung of the ladder: 0 with the arena graded, or -errno with the reason noted.
int try_rung(const Rung& rung, Arena& arena) {
  Grade& grade = arena.grade;
  if (grade.bytes % rung.page_bytes != 0) {
    add_reason(grade, std::string("no ") + rung.name + ": " + format_size(grade.bytes) + " is no multiple of " +
                          format_size(rung.page_bytes));
    return -EINVAL;
  }
  const int error = get_memory(rung, arena.base, grade);
  if (error != 0) {
    add_reason(grade, why_not(rung, grade, error));
    return error;
  }
  grade.populated = true;
  grade.page_bytes = rung.page_bytes;
  grade.huge_tlb = rung.kind == PageKind::huge_tlb_2m;
  if (rung.kind == PageKind::transparent_huge) grade_transparent(arena.base, grade);
  verify_node(arena.base, grade);
  lock_pages(arena.base, grade);
  return 0;
}

}  // namespace

// The page at the end keeps the kernel from joining the arenas with a neighbour's mapping, whose huge pages would then
// be counted as theirs.
Reservation::Reservation(std::size_t bytes)
    : bytes_(bytes + base::kSmallPage), base_(os::reserve(bytes_, base::kHugePage)) {
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
  const std::size_t first = first_rung(options.pages);
  const std::size_t last = options.strict ? first + 1 : kLadder.size();
  int error = -EINVAL;
  for (std::size_t i = first; i < last && error != 0; ++i) error = try_rung(kLadder.at(i), arena);
  const std::string want = format_size(bytes) + " of " + kLadder.at(first).name + " on node " + std::to_string(node);
  if (error != 0) throw Error(-error, "cannot get " + want + ": " + arena.grade.reason + "; or lower WEIR_BYTES");
  if (options.strict && !arena.grade.reason.empty()) {
    os::unmap_to_reserved(base, bytes);
    throw Error(ENOMEM, "WEIR_STRICT=1 and " + want + " is not to be had whole: " + arena.grade.reason);
  }
  return arena;
}

}  // namespace weir::detail
