#pragma once

#include <vector>

namespace weir::server {

/// The CPUs that the process may use. Throws Error when the kernel does not tell.
std::vector<int> allowed_cpus();

/// Keeps the calling thread there. Throws Error when the kernel refuses.
void pin_to(int cpu);

}  // namespace weir::server
