#include "faked_files.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace {

/// Empty while there is none.
std::string& folder_in_use() {
  static std::string& folder = *new std::string;
  return folder;
}

}  // namespace

namespace weir::testing {

FakedFiles::FakedFiles() {
  std::string name = std::filesystem::temp_directory_path() / "weir-faked-XXXXXX";
  folder_ = mkdtemp(name.data());
  folder_in_use() = folder_;
}

FakedFiles::~FakedFiles() {
  folder_in_use().clear();
  std::filesystem::remove_all(folder_);
}

void FakedFiles::write(const std::string& path, const std::string& text) const {
  const std::filesystem::path file = folder_.string() + path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace weir::testing

extern "C" {

std::FILE* __real_fopen(const char* path, const char* mode);
std::FILE* __wrap_fopen(const char* path, const char* mode) {
  const std::string asked = path;
  const bool faked = asked.starts_with("/proc/") || asked.starts_with("/sys/");
  return __real_fopen(faked ? (folder_in_use() + asked).c_str() : path, mode);
}

}  // extern "C"
