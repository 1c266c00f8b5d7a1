#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "file.h"
#include "process.h"

namespace weir::tool {

/// The files that a process has mapped.
class MappedFiles {
 public:
  explicit MappedFiles(Process process);

  /// The very file that is mapped from `start` on. What only has its name may be another: in another mount namespace,
  /// or after an upgrade. When it cannot be had, there is none, and `fault` says why.
  File open(std::uint64_t start, std::string& fault) const;

 private:
  struct Mapping {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    dev_t device = 0;
    ino_t inode = 0;
    std::string path;  ///< maybe with " (deleted)" after it
  };

  static std::vector<Mapping> read_mappings(const Process& process);
  File open_directly(const Mapping& mapping) const;
  bool is_mapped_at(const Mapping& mapping, const File& file) const;

  const Process process_;
  const std::vector<Mapping> mappings_;
};

}  // namespace weir::tool
