#include <weir/alerts.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "os/journal.h"
#include "os/process.h"
#include "stats/alert_text.h"

namespace weir {
namespace {

struct KindFacts {
  const char* name;
  int priority;  ///< syslog's: 3 is an error, 4 a warning
};

constexpr std::array<KindFacts, 4> kKinds{
    {{"degraded", 4}, {"exhausted", 3}, {"stuck_cancel", 3}, {"growth_failed", 4}}};

const KindFacts& facts_of(AlertKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

/// One line, whatever is in it.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c >= '\0' && c < ' '; }, ' ');
  return line;
}

std::string quoted(std::string_view text) {
  std::string all = "\"";
  for (const char c : one_line(text)) {
    if (c == '"' || c == '\\') all += '\\';
    all += c;
  }
  return all + "\"";
}

}  // namespace

namespace detail {

std::string text_of(const Alert& alert) {
  return std::string("weir: alert kind=") + name_of(alert.kind) + " pool=" + quoted(alert.pool) +
         " suppressed=" + std::to_string(alert.suppressed) + " message=" + quoted(alert.message);
}

}  // namespace detail

const char* name_of(AlertKind kind) noexcept { return facts_of(kind).name; }

void alert_to_stderr(const Alert& alert) { std::fputs((detail::text_of(alert) + "\n").c_str(), stderr); }

void alert_to_journal(const Alert& alert) {
  const std::string entry =
      "MESSAGE=" + one_line(alert.message) + "\nPRIORITY=" + std::to_string(facts_of(alert.kind).priority) +
      "\nSYSLOG_IDENTIFIER=" + one_line(os::program_name()) + "\nWEIR_KIND=" + name_of(alert.kind) +
      "\nWEIR_POOL=" + one_line(alert.pool) + "\nWEIR_SUPPRESSED=" + std::to_string(alert.suppressed) + "\n";
  if (os::send_to_journal(entry) != 0) alert_to_stderr(alert);
}

}  // namespace weir
