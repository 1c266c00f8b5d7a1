#pragma once

#if !defined(__cpp_exceptions) || !defined(__cpp_rtti)
#error \
    "<weir/memory_resource.h> needs exceptions and RTTI: compile without -fno-exceptions and -fno-rtti what includes it"
#elif !__has_include(<memory_resource>)
#error "<weir/memory_resource.h> needs the standard library's <memory_resource>: that of g++, or libc++ 16"
#else

#include <weir/detail/export.h>
#include <weir/pool.h>

#include <cstddef>
#include <memory_resource>
#include <new>

namespace weir {

/// A pool behind the standard's interface for allocators. What no size class holds, and what the budget has not, is
/// std::bad_alloc: it never asks another allocator. Thread safe.
/// REQUIRES: the pool outlives it, and all that was allocated from it is deallocated before the pool is destroyed.
class WEIR_API PoolResource : public std::pmr::memory_resource {
 public:
  explicit PoolResource(Pool& pool) noexcept : pool_(pool) {}

 private:
  static constexpr std::size_t kLine = 64;
  static constexpr std::size_t kPage = 4096;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (alignment > kPage) throw std::bad_alloc();
    Loan loan = alignment > kLine ? pool_.lend_pages(bytes) : pool_.lend(bytes);
    if (!loan) throw std::bad_alloc();
    return loan.release();
  }

  void do_deallocate(void* memory, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
    pool_.drop(static_cast<std::byte*>(memory));
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    const auto* same = dynamic_cast<const PoolResource*>(&other);
    return same != nullptr && &same->pool_ == &pool_;
  }

  Pool& pool_;
};

}  // namespace weir

#endif
