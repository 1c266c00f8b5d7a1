#include "mapped_files.h"

#include <elfutils/libdwelf.h>
#include <fmt/format.h>
#include <gelf.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace weir::tool {
namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kMostHead = 1 << 20;  ///< of a mapping, to find its notes in

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfImage = std::unique_ptr<Elf, EndElf>;

/// Empty when it has none.
std::string build_id_of(Elf* elf) {
  const void* id = nullptr;
  const ssize_t bytes = elf != nullptr ? dwelf_elf_gnu_build_id(elf, &id) : 0;
  return bytes > 0 ? std::string(static_cast<const char*>(id), static_cast<std::size_t>(bytes)) : std::string();
}

/// Another kind of file may wait for ever when it is opened.
File open_regular(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) {
    errno = EINVAL;
    return {};
  }
  return File(path);
}

}  // namespace

MappedFiles::MappedFiles(Process process) : process_(std::move(process)), mappings_(read_mappings(process_)) {}

std::vector<MappedFiles::Mapping> MappedFiles::read_mappings(const Process& process) {
  std::vector<Mapping> mappings;
  std::ifstream maps(process.file("maps"));
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    Mapping mapping;
    unsigned major = 0;
    unsigned minor = 0;
    char mark = 0;
    std::string skipped;
    words >> std::hex >> mapping.start >> mark >> mapping.end >> skipped >> skipped >> major >> mark >> minor;
    words >> std::dec >> mapping.inode >> std::ws;
    std::getline(words, mapping.path);
    mapping.device = makedev(major, minor);
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

/// By a way that leads to what is mapped whatever its path means: root's, or to the program itself.
File MappedFiles::open_directly(const Mapping& mapping) const {
  const std::string own = process_.file(fmt::format("map_files/{:x}-{:x}", mapping.start, mapping.end));
  if (File file = open_regular(own)) return file;
  const std::string program = process_.file("exe");
  std::error_code error;
  return std::filesystem::read_symlink(program, error) == mapping.path ? open_regular(program) : File();
}

/// By what the kernel says of both; or by the build ids, since on some file systems it shows numbers of another.
bool MappedFiles::is_mapped_at(const Mapping& mapping, const File& file) const {
  struct stat status {};
  if (fstat(file.fd(), &status) != 0) return false;
  if (status.st_dev == mapping.device && status.st_ino == mapping.inode) return true;
  std::string head(std::min<std::uint64_t>(mapping.end - mapping.start, kMostHead), '\0');
  const File memory(process_.file("mem"));
  if (!memory || !memory.read(head.data(), head.size(), mapping.start)) return false;
  const ElfImage image(elf_memory(head.data(), head.size()));
  const ElfImage other(elf_begin(file.fd(), ELF_C_READ_MMAP, nullptr));
  const std::string id = build_id_of(image.get());
  return !id.empty() && id == build_id_of(other.get());
}

File MappedFiles::open(std::uint64_t start, std::string& fault) const {
  const auto mapping = std::ranges::find(mappings_, start, &Mapping::start);
  if (mapping == mappings_.end()) {
    fault = "nothing is mapped there any more";
    return {};
  }
  if (File file = open_directly(*mapping)) return file;
  // As the process sees the path, or as it is shown here.
  for (const std::string& place : {process_.file("root") + mapping->path, mapping->path}) {
    File file = open_regular(place);
    if (file && is_mapped_at(*mapping, file)) return file;
    if (fault.empty()) fault = file ? "what has its name is another file" : std::strerror(errno);
  }
  if (mapping->path.ends_with(kDeleted)) fault = "it was replaced or removed while the process runs";
  return {};
}

}  // namespace weir::tool
