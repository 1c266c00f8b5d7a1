#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "process.h"

namespace weir::tool {

/// A place in a program's code.
struct CodePlace {
  std::string function;  ///< demangled; empty: not known
  std::string file;      ///< without its folder; empty: there is no debug information
  int line = 0;
  std::string module;        ///< program or library, without its folder; empty: not known
  std::uint64_t offset = 0;  ///< from the module's start
};

/// The functions of a running process.
class Symbols {
 public:
  explicit Symbols(const Process& process);
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  /// Of the call that returns to the address.
  CodePlace caller(std::uint64_t return_address);

  /// Why there are no functions of a module, by its name, of those that were asked for.
  const std::map<std::string, std::string>& faults() const;

 private:
  struct Modules;

  std::unique_ptr<Modules> modules_;
};

}  // namespace weir::tool
