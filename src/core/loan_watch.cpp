#include "core/loan_watch.h"

#include <execinfo.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/fatal.h"
#include "base/units.h"
#include "os/process.h"

namespace weir::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFrames = 12;

struct Borrow {
  std::uint32_t thread;
  std::uint32_t bytes;
  Clock::time_point since;
  std::array<void*, kFrames> stack;
  int depth;
};

struct FreeNames {
  void operator()(char** names) const { std::free(static_cast<void*>(names)); }
};

std::string describe(const Borrow& borrow) {
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - borrow.since);
  std::string text = base::format_size(borrow.bytes) + " borrowed " + std::to_string(age.count()) +
                     " ms ago by thread " + std::to_string(borrow.thread) + " at\n";
  const std::unique_ptr<char*, FreeNames> names(backtrace_symbols(borrow.stack.data(), borrow.depth));
  for (int i = 0; names && i < borrow.depth; ++i) text += std::string("    ") + names.get()[i] + "\n";
  return text;
}

}  // namespace

struct LoanWatch::Borrows {
  mutable std::mutex mutex;
  std::unordered_map<const std::byte*, Borrow> out;
};

LoanWatch::LoanWatch(bool trace, bool scrub) : borrows_(trace ? std::make_unique<Borrows>() : nullptr), scrub_(scrub) {}

LoanWatch::~LoanWatch() = default;

void LoanWatch::on_lend(const std::byte* buffer, std::uint32_t bytes) noexcept {
  if (!borrows_) return;
  Borrow borrow{.thread = os::thread_id(), .bytes = bytes, .since = Clock::now(), .stack = {}, .depth = 0};
  borrow.depth = backtrace(borrow.stack.data(), kFrames);
  const std::lock_guard lock(borrows_->mutex);
  borrows_->out.insert_or_assign(buffer, borrow);
}

void LoanWatch::on_drop(std::byte* buffer, std::uint32_t bytes) noexcept {
  if (borrows_) {
    const std::lock_guard lock(borrows_->mutex);
    if (borrows_->out.erase(buffer) == 0)
      base::fatal("a buffer of %u bytes was dropped twice: two parts of the program held it", bytes);
  }
  if (scrub_) std::memset(buffer, 0, bytes);
}

std::string LoanWatch::describe_oldest(std::size_t most) const {
  if (!borrows_) return {};
  const std::lock_guard lock(borrows_->mutex);
  std::vector<const Borrow*> oldest;
  for (const auto& entry : borrows_->out) oldest.push_back(&entry.second);
  most = std::min(most, oldest.size());
  std::partial_sort(oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(most), oldest.end(),
                    [](const Borrow* a, const Borrow* b) { return a->since < b->since; });
  std::string text;
  for (std::size_t i = 0; i < most; ++i) text += describe(*oldest[i]);
  return text;
}

}  // namespace weir::detail
