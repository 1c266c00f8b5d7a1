#pragma once

#include <weir/pool.h>

#include "slab/pool_state.h"

namespace weir::testing {

/// How the pool cuts slabs for buffers of `bytes`. REQUIRES: there is such a class.
inline const detail::SizeClass& class_of(Pool& pool, std::size_t bytes,
                                         detail::Alignment alignment = detail::Alignment::line) {
  const detail::SizeClasses& classes = pool.state().classes();
  return classes[classes.index_for(bytes, alignment)];
}

/// How many buffers of the class the pool can have, when no other class has any of its memory.
inline std::size_t most_buffers(Pool& pool, const detail::SizeClass& size_class) {
  std::size_t count = 0;
  for (const Grade& grade : pool.grades()) count += grade.bytes / size_class.slab_bytes * size_class.per_slab;
  return count;
}

inline std::size_t most_buffers(Pool& pool, std::size_t bytes) { return most_buffers(pool, class_of(pool, bytes)); }

inline std::size_t mapped_bytes(const Pool& pool) {
  std::size_t bytes = 0;
  for (const Grade& grade : pool.grades()) bytes += grade.bytes;
  return bytes;
}

}  // namespace weir::testing
