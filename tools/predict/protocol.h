#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <unordered_map>

#include "receive/predictor.h"

namespace weir::predict {

/// A predictor for each stream that is named, asked line by line.
class Protocol {
 public:
  explicit Protocol(const detail::SizeCosts& costs) : costs_(costs) {}

  /// The answer, empty where there is none to give. Throws std::invalid_argument when the line is none of the protocol.
  std::string answer(std::string_view line);

 private:
  detail::Predictor& stream(const std::string& name);

  const detail::SizeCosts& costs_;
  std::unordered_map<std::string, detail::Predictor> streams_;
};

}  // namespace weir::predict
