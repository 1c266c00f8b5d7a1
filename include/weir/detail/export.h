#pragma once

/// What programs link with. It is exported whatever visibility their builds, or the library's, are told to give.
#define WEIR_API __attribute__((visibility("default")))
