#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "commands.h"
#include "failure.h"
#include "file.h"
#include "layout.h"
#include "map_print.h"
#include "terminal.h"

namespace weir::tool {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// What is there is overwritten only if nothing is lost: it is an older drawing, an empty file, or none of data.
void require_free_or_drawing(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return;  // writing tells why, if it is not just free
  const bool has_data = (S_ISREG(status.st_mode) && status.st_size > 0) || S_ISBLK(status.st_mode);
  if (!has_data) return;
  std::array<char, 256> start{};
  const File there(path);
  const auto bytes = std::min(start.size(), there ? there.size() : 0);
  const bool is_drawing = there && there.read(start.data(), bytes, 0) &&
                          std::string_view(start.data(), bytes).find(kDrawnBy) != std::string_view::npos;
  if (!is_drawing)
    throw Failure(
        fmt::format("cannot write {}: it is there, and no drawing of weir's: give another name, or remove it", path));
}

void write_file(const std::string& path, const std::string& text) {
  if (path == "-") return fmt::print("{}", text);
  require_free_or_drawing(path);
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "we"));
  const bool written = file && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  if (!written || std::fflush(file.get()) != 0)
    throw Failure(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

}  // namespace

void run_map(const Target& target, const Pictures& pictures, bool json) {
  const OpenTarget open = open_target(target);
  const std::vector<SlabFile> files = find_slab_files(target, open);
  if (files.empty() && !open.process) {
    throw Failure(
        fmt::format("{} has the counts of a process and no map of its slabs: give a PID, or a file that "
                    "`weir stat PID --save FILE` wrote",
                    target.segment_path));
  }
  Layout layout = take_layout(*open.reader, files);
  if (open.process)
    layout.pid = static_cast<std::uint32_t>(open.process->id);  // what it calls itself may be another number
  if (!pictures.svg_path.empty()) write_file(pictures.svg_path, map_svg(layout));
  if (!pictures.html_path.empty()) write_file(pictures.html_path, map_html(layout));
  if (json) {
    fmt::print("{}", map_json(layout));
  } else if (pictures.svg_path.empty() && pictures.html_path.empty()) {
    fmt::print("{}", map_text(layout, terminal_width()));
  }
}

}  // namespace weir::tool
