#include "base/fatal.h"

#include <gtest/gtest.h>
#include <weir/error.h>

#include <cerrno>
#include <csignal>
#include <string>

namespace weir::base {
namespace {

TEST(FatalDeathTest, SaysOneLineAndAborts) {
  EXPECT_EXIT(fatal("class %d: %s", 4096, "in two hands"), testing::KilledBySignal(SIGABRT),
              "^weir: class 4096: in two hands\n$");
}

TEST(FatalDeathTest, CutsALineThatIsTooLong) {
  const std::string text(5000, 'x');
  EXPECT_EXIT(fatal("%s", text.c_str()), testing::KilledBySignal(SIGABRT), "^weir: x{500,511}\n$");
}

TEST(Warn, SaysOneLineAndGoesOn) {
  testing::internal::CaptureStderr();
  warn("%s is ignored", "WEIR_COLOUR");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "weir: WEIR_COLOUR is ignored\n");
}

TEST(Error, CarriesTheErrnoAndTheLine) {
  const Error error(ENOMEM, "cannot reserve 1 TiB: lower WEIR_BYTES");
  EXPECT_EQ(error.code(), std::errc::not_enough_memory);
  EXPECT_NE(std::string(error.what()).find("cannot reserve 1 TiB: lower WEIR_BYTES"), std::string::npos);
}

}  // namespace
}  // namespace weir::base
