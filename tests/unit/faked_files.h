#pragma once

#include <filesystem>
#include <string>

// Files of /proc and /sys of another machine, in a program that is linked with --wrap=fopen and faked_files.cpp.

namespace weir::testing {

/// A folder with those files, gone with it. While there is one, they are opened there, and only there.
class FakedFiles {
 public:
  FakedFiles();
  ~FakedFiles();
  FakedFiles(const FakedFiles&) = delete;
  FakedFiles& operator=(const FakedFiles&) = delete;

  void write(const std::string& path, const std::string& text) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace weir::testing
