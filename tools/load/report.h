#pragma once

#include <string>

#include "load.h"

namespace weir::load {

std::string text_of(const Plan& plan, const Outcome& outcome);
std::string json_of(const Plan& plan, const Outcome& outcome);

}  // namespace weir::load
