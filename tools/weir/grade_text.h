#pragma once

#include <weir/pool.h>

#include <string>

#include "base/units.h"

namespace weir::tool {

/// "2 MiB hugetlb, populated, locked, bound"; what is not so has a "not" before it.
inline std::string grade_text(const Grade& grade) {
  const char* kind = grade.huge_tlb ? "hugetlb" : grade.page_bytes > base::kSmallPage ? "transparent" : "pages";
  std::string text = base::format_size(grade.page_bytes) + " " + kind;
  text += grade.populated ? ", populated" : ", not populated";
  text += grade.locked ? ", locked" : ", not locked";
  text += grade.bound ? ", bound" : ", not bound";
  return text;
}

}  // namespace weir::tool
