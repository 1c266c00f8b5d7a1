#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace weir::detail {

/// What a pool's helper sleeps on. Raising it again before it was heard is one load, so the data path may.
class Alarm {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum Cause : unsigned {
    ending = 1,
    exhausted = 2,  ///< somebody was given nothing
    low_water = 4,  ///< a blocks has less than its mark
  };
  /// The blocks of the node with that index has no block for a class, or less than its mark. A cause for each node:
  /// what one of them lacks for ever must not hide what another needs.
  static constexpr unsigned short_on(std::size_t node) { return 8U << node; }

  /// Any thread, under any lock but one that is held while waiting.
  void raise(unsigned cause) noexcept;
  /// Sleeps until one of the causes is raised, or the time has come.
  void wait(unsigned causes, Time until);
  /// Which of the causes were raised since they were heard last.
  unsigned hear(unsigned causes) noexcept;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<unsigned> raised_{0};
};

}  // namespace weir::detail
