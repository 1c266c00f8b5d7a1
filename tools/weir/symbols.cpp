#include "symbols.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "mapped_files.h"
#include "text.h"

namespace weir::tool {
namespace {

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, FreeText> text(abi::__cxa_demangle(name, nullptr, nullptr, &status));
  return printable(status == 0 ? text.get() : name);
}

/// Of a file that is gone, too.
std::string name_of(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return printable(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

}  // namespace

struct Symbols::Modules {
  explicit Modules(const Process& process) : files(process) {
    if (dwfl == nullptr || dwfl_linux_proc_report(dwfl, process.thread) != 0 ||
        dwfl_report_end(dwfl, nullptr, nullptr) != 0) {
      faults["the program"] = "the map of its memory cannot be read";
    } else {
      dwfl_getmodules(dwfl, adopt, this, 0);
    }
  }
  ~Modules() { dwfl_end(dwfl); }
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;

  // The library's callbacks.
  static int adopt(Dwfl_Module* module, void** of_user, const char* name, Dwarf_Addr start, void* self);
  static int find_elf(Dwfl_Module* module, void** of_user, const char* name, Dwarf_Addr start, char** path, Elf** elf);

  MappedFiles files;
  std::map<std::string, std::string> faults;
  // What the library keeps of these callbacks is a pointer.
  Dwfl_Callbacks callbacks{.find_elf = find_elf,
                           .find_debuginfo = dwfl_standard_find_debuginfo,
                           .section_address = nullptr,
                           .debuginfo_path = nullptr};
  Dwfl* dwfl = dwfl_begin(&callbacks);
};

/// So that find_elf knows whose module it is.
int Symbols::Modules::adopt(Dwfl_Module* /*module*/, void** of_user, const char* /*name*/, Dwarf_Addr /*start*/,
                            void* self) {
  *of_user = self;
  return DWARF_CB_OK;
}

int Symbols::Modules::find_elf(Dwfl_Module* module, void** of_user, const char* name, Dwarf_Addr start, char** path,
                               Elf** elf) {
  const bool is_file = *name == '/';
  if (!is_file) return dwfl_linux_proc_find_elf(module, of_user, name, start, path, elf);
  auto& self = *static_cast<Modules*>(*of_user);
  std::string fault;
  File file = self.files.open(start, fault);
  if (!file) self.faults.emplace(name_of(name), fault);
  *path = strdup(name);  // the library frees it
  return file.release();
}

Symbols::Symbols(const Process& process) : modules_(std::make_unique<Modules>(process)) {}

Symbols::~Symbols() = default;

CodePlace Symbols::caller(std::uint64_t return_address) {
  CodePlace place;
  const std::uint64_t call = return_address - 1;  // the call is what comes before it
  Dwfl_Module* const module = dwfl_addrmodule(modules_->dwfl, call);
  if (module == nullptr) return place;
  Dwarf_Addr start = 0;
  place.module = name_of(dwfl_module_info(module, nullptr, &start, nullptr, nullptr, nullptr, nullptr, nullptr));
  place.offset = return_address - start;
  if (const char* name = dwfl_module_addrname(module, call)) place.function = demangled(name);
  Dwfl_Line* const line = dwfl_module_getsrc(module, call);
  const char* file = line != nullptr ? dwfl_lineinfo(line, nullptr, &place.line, nullptr, nullptr, nullptr) : nullptr;
  if (file != nullptr) place.file = name_of(file);
  return place;
}

const std::map<std::string, std::string>& Symbols::faults() const { return modules_->faults; }

}  // namespace weir::tool
