#include "diagnosis.h"

#include <algorithm>
#include <iterator>

#include "checks.h"

namespace weir::tool {

const char* name_of(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::degraded:
      return "degraded";
    case Health::broken:
      return "broken";
  }
  return "?";
}

std::vector<Finding> diagnose(const Machine& machine, const Plan& plan) {
  std::vector<Finding> all;
  for (const auto check : {check_kernel, check_uring, check_features, check_nodes, check_huge_pages, check_transparent,
                           check_memory, check_memlock, check_swap, check_threads, check_sizes, check_files}) {
    std::ranges::move(check(machine, plan), std::back_inserter(all));
  }
  return all;
}

Health health_of(const std::vector<Finding>& findings) {
  Health worst = Health::ok;
  for (const Finding& finding : findings) worst = std::max(worst, finding.health);
  return worst;
}

}  // namespace weir::tool
