#include "symbols.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>

#include <array>
#include <cstdlib>
#include <string_view>

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

std::string without_folder(const char* path) {
  const std::string_view text = path;
  return printable(text.substr(text.rfind('/') + 1));  // npos + 1 is 0
}

}  // namespace

struct Symbols::Modules {
  // What the library keeps of these callbacks is a pointer.
  Dwfl_Callbacks callbacks{.find_elf = dwfl_linux_proc_find_elf,
                           .find_debuginfo = dwfl_standard_find_debuginfo,
                           .section_address = nullptr,
                           .debuginfo_path = nullptr};
  Dwfl* dwfl = dwfl_begin(&callbacks);

  Modules() = default;
  ~Modules() { dwfl_end(dwfl); }
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;

  bool read(pid_t pid) const {
    return dwfl != nullptr && dwfl_linux_proc_report(dwfl, pid) == 0 && dwfl_report_end(dwfl, nullptr, nullptr) == 0;
  }
};

Symbols::Symbols(pid_t pid) : modules_(std::make_unique<Modules>()) {
  if (!modules_->read(pid)) modules_.reset();
}

Symbols::~Symbols() = default;

CodePlace Symbols::caller(std::uint64_t return_address) {
  CodePlace place;
  const std::uint64_t call = return_address - 1;  // the call is what comes before it
  Dwfl_Module* const module = modules_ ? dwfl_addrmodule(modules_->dwfl, call) : nullptr;
  if (module == nullptr) return place;
  place.module =
      without_folder(dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr));
  if (const char* name = dwfl_module_addrname(module, call)) place.function = demangled(name);
  Dwfl_Line* const line = dwfl_module_getsrc(module, call);
  const char* file = line != nullptr ? dwfl_lineinfo(line, nullptr, &place.line, nullptr, nullptr, nullptr) : nullptr;
  if (file != nullptr) place.file = without_folder(file);
  return place;
}

}  // namespace weir::tool
