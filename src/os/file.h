#pragma once

#include <cstdio>
#include <memory>

namespace weir::os {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// One of the kernel's files, closed with it. Empty when it cannot be read.
using File = std::unique_ptr<std::FILE, CloseFile>;

inline File open_file(const char* path) { return File(std::fopen(path, "re")); }

}  // namespace weir::os
