#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "borrows.h"
#include "snapshot.h"
#include "stats/fields.h"

namespace weir::tool {

/// Samples of one name, by their labels: `pool="main",node="0"`. Where two have the same labels they are added up.
struct MetricFamily {
  std::string_view name;  ///< without the _total of a counter
  bool is_counter;
  std::string_view unit;  ///< with which the name ends, or none
  std::string_view help;
  std::map<std::string, std::uint64_t> samples;
};

/// All that is exported of a process.
std::vector<MetricFamily> metrics_of(const Snapshot& snapshot);

/// Age of the oldest loan, of each pool that notes its borrowers.
MetricFamily oldest_loans_of(const Borrows& borrows);

enum class MetricFormat : bool {
  prometheus,   ///< text/plain; version=0.0.4
  openmetrics,  ///< application/openmetrics-text; version=1.0.0
};

std::string metrics_text(const std::vector<MetricFamily>& families, MetricFormat format);

}  // namespace weir::tool
