#pragma once

#include <cstdio>
#include <memory>

#include "base/no_cancel.h"

namespace weir::os {

/// One of the kernel's files, closed with it. Empty when it cannot be read.
class File {
 public:
  explicit File(const char* path) : file_(std::fopen(path, "re")) {}
  explicit operator bool() const { return file_ != nullptr; }
  std::FILE* get() const { return file_.get(); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  base::NoCancel no_cancel_;  // all that is done with it may wait
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace weir::os
