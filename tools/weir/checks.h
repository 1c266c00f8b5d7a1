#pragma once

#include <string>
#include <vector>

#include "finding.h"
#include "machine.h"
#include "plan.h"

namespace weir::tool {

// Each judges one thing. They ask nobody: all they know is given.
using Findings = std::vector<Finding>;

/// How enough memory may be locked.
std::string memlock_fix(const Plan& plan);

Findings check_kernel(const Machine& machine, const Plan& plan);
Findings check_uring(const Machine& machine, const Plan& plan);
Findings check_features(const Machine& machine, const Plan& plan);

Findings check_nodes(const Machine& machine, const Plan& plan);
Findings check_huge_pages(const Machine& machine, const Plan& plan);
Findings check_transparent(const Machine& machine, const Plan& plan);
Findings check_memory(const Machine& machine, const Plan& plan);
Findings check_memlock(const Machine& machine, const Plan& plan);
Findings check_swap(const Machine& machine, const Plan& plan);
Findings check_threads(const Machine& machine, const Plan& plan);
Findings check_sizes(const Machine& machine, const Plan& plan);
Findings check_files(const Machine& machine, const Plan& plan);

}  // namespace weir::tool
