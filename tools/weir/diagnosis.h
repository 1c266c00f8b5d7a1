#pragma once

#include <vector>

#include "finding.h"
#include "machine.h"
#include "plan.h"

namespace weir::tool {

/// Everything that matters for the plan on this machine.
std::vector<Finding> diagnose(const Machine& machine, const Plan& plan);

/// The worst of all.
Health health_of(const std::vector<Finding>& findings);

}  // namespace weir::tool
