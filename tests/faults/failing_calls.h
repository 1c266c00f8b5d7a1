#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// The system calls of src/os, each of which can be told to fail once: the next layers are then tested with an
// implementation of os that is the real one but for that call.

namespace weir::testing {

/// A system call that was made.
struct Call {
  std::string name;
  std::vector<int> errors;  ///< that it is worth trying with
};

/// From now on calls are counted, and the one at `position` fails with `error`.
void start_counting(std::size_t position, int error);
/// Calls work again. Returns those made since.
std::vector<Call> stop_counting();

/// From now on the kernel is one before 5.14, which does not populate on demand.
void be_before_5_14();

inline constexpr std::size_t kNone = SIZE_MAX;

}  // namespace weir::testing
