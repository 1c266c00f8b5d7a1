#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// All lines of a file; none when it cannot be read.
std::vector<std::string> lines_of(const std::string& path);

/// What follows the key in the first line that starts with it; nothing when there is no such line, or no such file.
std::optional<std::string> line_of(const std::string& path, std::string_view key);

/// A number in a line like that; 0 when there is none.
std::uint64_t number_of(const std::string& path, std::string_view key, int base);

}  // namespace weir::os
