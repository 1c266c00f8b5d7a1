#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace weir::tool {

/// A place in a program's code.
struct CodePlace {
  std::string function;  ///< demangled; empty: not known
  std::string file;      ///< without its folder; empty: there is no debug information
  int line = 0;
  std::string module;  ///< program or library, without its folder; empty: not known
};

/// The functions of a running process.
class Symbols {
 public:
  /// Where they cannot be read, no place is known.
  explicit Symbols(pid_t pid);
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  /// Of the call that returns to the address.
  CodePlace caller(std::uint64_t return_address);

 private:
  struct Modules;

  std::unique_ptr<Modules> modules_;  ///< nullptr: not to be read
};

}  // namespace weir::tool
