#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>

#include "commands.h"
#include "failure.h"
#include "human.h"
#include "rates.h"
#include "watched.h"

namespace weir::tool {
namespace {

using std::chrono::steady_clock;

/// What a line is made of.
struct Moment {
  const Snapshot& snapshot;
  double seconds;              ///< since the last line
  std::optional<Rates> rates;  ///< in that time
  Counts counts = snapshot.tally().counts;
  Connections connections = connections_of(snapshot.receivers);
};

using CellOf = std::string (*)(const Moment&);

template <std::uint64_t Counts::*member>
std::string count_cell(const Moment& moment) {
  return format_count(static_cast<double>(moment.counts.*member));
}

template <std::uint64_t Connections::*member>
std::string connections_cell(const Moment& moment) {
  return format_count(static_cast<double>(moment.connections.*member));
}

template <Counter counter>
std::string rate_cell(const Moment& moment) {
  return moment.rates ? format_count((*moment.rates)[counter]) : "-";
}

std::string hits_cell(const Moment& moment) {
  const auto part = moment.rates ? hits(*moment.rates) : std::nullopt;
  return part ? fmt::format("{:.0f}", 100 * *part) : "-";
}

struct Column {
  const char* title;
  CellOf cell;
  std::size_t width() const { return std::max(std::strlen(title), std::size_t{4}); }
};

/// What matters most comes first: a narrow terminal shows as many as fit.
constexpr std::array kColumns{
    Column{"recv/s", rate_cell<Counter::receives>},
    Column{"B/s", rate_cell<Counter::bytes>},
    Column{"lend/s", rate_cell<Counter::lends>},
    Column{"hit%", hits_cell},
    Column{"refill", rate_cell<Counter::refills>},
    Column{"empty", rate_cell<Counter::empty>},
    Column{"nobufs", rate_cell<Counter::enobufs>},
    Column{"reclaim", rate_cell<Counter::reclaimed>},
    Column{"conns", connections_cell<&Connections::all>},
    Column{"idle", connections_cell<&Connections::idle>},
    Column{"parked", connections_cell<&Connections::parked>},
    Column{"user", count_cell<&Counts::user>},
    Column{"ring", count_cell<&Counts::kernel_ring>},
    Column{"req", count_cell<&Counts::kernel_request>},
    Column{"cached", count_cell<&Counts::cached>},
    Column{"free", count_cell<&Counts::free>},
};

template <typename TextOf>
std::string line_of(std::size_t width, TextOf text_of) {
  std::string line;
  for (const Column& column : kColumns) {
    const std::string cell = fmt::format("{}{:>{}}", line.empty() ? "" : " ", text_of(column), column.width());
    if (line.size() + cell.size() > width) break;
    line += cell;
  }
  return line + "\n";
}

/// Lines under titles, which come again when they have left the screen.
class TextLines {
 public:
  void print(const Moment& moment) {
    winsize screen{};
    const bool is_terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &screen) == 0 && screen.ws_col > 0;
    const std::size_t width = is_terminal ? screen.ws_col : SIZE_MAX;
    if (lines_ == 0 || (is_terminal && lines_ + 2 > screen.ws_row)) {
      fmt::print("{}", line_of(width, [](const Column& column) { return column.title; }));
      lines_ = 0;
    }
    fmt::print("{}", line_of(width, [&](const Column& column) { return column.cell(moment); }));
    ++lines_;
  }

 private:
  std::size_t lines_ = 0;  ///< since the titles
};

void print_json(const Moment& moment) {
  using std::chrono::system_clock;
  const Counts& counts = moment.counts;
  nlohmann::ordered_json json{
      {"time", std::chrono::duration<double>(system_clock::now().time_since_epoch()).count()},
      {"seconds", moment.seconds},
      {"pid", moment.snapshot.pid},
      {"capacity", counts.capacity},
      {"free", counts.free},
      {"cached", counts.cached},
      {"user", counts.user},
      {"kernel_ring", counts.kernel_ring},
      {"kernel_request", counts.kernel_request},
      {"connections", moment.connections.all},
      {"idle", moment.connections.idle},
      {"parked", moment.connections.parked},
  };
  auto& rates = json["a_second"];  // null when there are none
  for (std::size_t i = 0; moment.rates && i < kCounterNames.size(); ++i) {
    rates[kCounterNames[i]] = (*moment.rates)[static_cast<Counter>(i)];
  }
  fmt::print("{}\n", json.dump());
}

}  // namespace

void run_watch(const Target& target, const Pace& pace, bool json) {
  const Watched watched(target);
  const auto interval = std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(pace.seconds));
  TextLines lines;
  Sample before = watched.look();
  auto next = before.at;
  for (std::uint64_t line = 0; line < pace.count; ++line) {
    next = std::max(next + interval, steady_clock::now());  // after a stop, the missed ones are not made up for
    watched.wait_until(next);
    Sample now = watched.look();
    const double seconds = seconds_between(before, now);
    const Moment moment{now.snapshot, seconds, rates_of(before.snapshot, now.snapshot, seconds)};
    json ? print_json(moment) : lines.print(moment);
    if (std::fflush(stdout) != 0) throw std::system_error(errno, std::generic_category(), "cannot write");
    before = std::move(now);
  }
}

}  // namespace weir::tool
