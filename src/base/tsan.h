#pragma once

// What ThreadSanitizer cannot see in a library that is compiled without it: that one thread's writes to a buffer, or to
// what the library notes of it, come before another's. A program that is compiled with it has these functions; they
// cost a test where a lock is taken, and nothing on the fast path.

extern "C" {
[[gnu::weak]] void __tsan_acquire(void* address);  // NOLINT(*-identifier,*-naming): as the sanitizer has it
[[gnu::weak]] void __tsan_release(void* address);  // NOLINT(*-identifier,*-naming): as the sanitizer has it
}

namespace weir::base {

inline void note_acquired(void* what) noexcept {
  if (__tsan_acquire != nullptr) __tsan_acquire(what);
}

inline void note_released(void* what) noexcept {
  if (__tsan_release != nullptr) __tsan_release(what);
}

}  // namespace weir::base
