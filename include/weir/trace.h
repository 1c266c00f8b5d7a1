#pragma once

#include <weir/detail/export.h>

#include <utility>

namespace weir {

namespace detail {
/// What the calling thread borrows for; nullptr: it has not said.
WEIR_API extern constinit thread_local const char* borrower_tag __attribute__((tls_model("initial-exec")));
}  // namespace detail

/// Names who borrows, for `weir holders`: each buffer that the calling thread is lent, or is delivered, while this is
/// in scope has its tag. The innermost tag counts. It costs two stores; only a pool that traces (WEIR_TRACE=1) reads
/// them. REQUIRES: the text, of which 23 bytes are kept, outlives this; it ends on the thread that made it, before
/// those that it is inside of.
class [[nodiscard]] BorrowerTag {
 public:
  explicit BorrowerTag(const char* text) noexcept : before_(std::exchange(detail::borrower_tag, text)) {}
  ~BorrowerTag() { detail::borrower_tag = before_; }
  BorrowerTag(const BorrowerTag&) = delete;
  BorrowerTag& operator=(const BorrowerTag&) = delete;

 private:
  const char* before_;
};

}  // namespace weir
