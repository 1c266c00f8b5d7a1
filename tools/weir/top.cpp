#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "base/units.h"
#include "commands.h"
#include "failure.h"
#include "screen.h"
#include "top_pages.h"

namespace weir::tool {
namespace {

using std::chrono::steady_clock;

constexpr int kFewestRows = 18;
constexpr int kFewestColumns = 72;
constexpr int kPanel = 22;             ///< columns beside the chart
constexpr std::size_t kHistory = 512;  ///< columns of the widest chart

const Page kHelp{"help",
                 {"q            quit", "p            pause, and go on",
                  "Tab          the next table first; Shift-Tab: the one before", "left, right  another pool",
                  "up, down     scroll", "h            this help, and back",
                  "The chart shows the bytes of all buffers by who holds them; a column is a look at the process.",
                  "free: in the depot; cached: in threads' magazines; user: lent to the program;",
                  "ring, request: with the kernel."}};

/// A hostile segment says more bytes than there are numbers for.
std::string size_text(double bytes) {
  return bytes < 0x1p63 ? base::format_size(static_cast<std::uint64_t>(bytes)) : "?";
}

/// The signals that end the program or change the screen, as a descriptor for poll.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, each);
    sigprocmask(SIG_BLOCK, &set, &before_);
    file_ = File(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!file_) throw Failure(fmt::format("cannot wait for signals: {}", std::strerror(errno)));
  }
  ~Signals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return file_.fd(); }
  /// The next one, or 0.
  int take() {
    signalfd_siginfo info{};
    return ::read(file_.fd(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  sigset_t before_{};
  File file_;
};

class Top {
 public:
  Top(const Watched& watched, const Pace& pace)
      : watched_(watched),
        interval_(std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(pace.seconds))),
        before_(watched.look()),
        now_(before_) {
    remember();
  }

  /// Until a key or a signal ends it; the signal, or 0.
  int run();
  bool process_ended() const { return ended_; }

 private:
  void look();
  void remember();
  void wait();
  void take_keys();
  int take_signals();
  void obey(Key key);

  void draw();
  void draw_title(const Snapshot& snapshot);
  void draw_pool();
  void draw_chart_and_panel(int height);
  void draw_pages(int row);
  std::size_t pool() const { return std::min(pool_, now_.snapshot.pools.size() - 1); }
  bool has_pool() const { return !now_.snapshot.pools.empty(); }

  const Watched& watched_;
  const steady_clock::duration interval_;
  Signals signals_;  // before the screen, whose library has a handler of its own
  Screen screen_;
  Sample before_;
  Sample now_;
  std::map<std::pair<std::uint32_t, std::string>, std::deque<Holdings>> history_;  ///< by a pool's slot and name
  std::size_t pool_ = 0;
  std::size_t page_ = 0;
  std::size_t scrolled_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool helps_ = false;
  bool quits_ = false;
};

int Top::run() {
  for (;;) {
    draw();
    wait();
    if (const int signal = take_signals()) return signal;
    take_keys();
    if (quits_) return 0;
    if (!ended_ && !paused_ && steady_clock::now() - now_.at >= interval_) look();
  }
}

void Top::look() {
  Sample next = watched_.look();
  before_ = std::exchange(now_, std::move(next));
  remember();
}

void Top::remember() {
  std::map<std::pair<std::uint32_t, std::string>, std::deque<Holdings>> kept;
  for (const PoolView& pool : now_.snapshot.pools) {
    auto& samples = kept[{pool.slot, pool.name}] = std::move(history_[{pool.slot, pool.name}]);
    samples.push_back(holdings_of(pool));
    if (samples.size() > kHistory) samples.pop_front();
  }
  history_ = std::move(kept);
}

void Top::wait() {
  const bool still = ended_ || paused_;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(now_.at + interval_ - steady_clock::now());
  std::array<pollfd, 3> files{pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                              pollfd{.fd = signals_.fd(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = ended_ ? -1 : watched_.end_fd(), .events = POLLIN, .revents = 0}};
  const int ready = poll(files.data(), files.size(), still ? -1 : static_cast<int>(std::max(left.count(), {})));
  if (ready < 0 && errno != EINTR) throw Failure(fmt::format("cannot wait: {}", std::strerror(errno)));
  if (ready <= 0) return;
  if ((files[0].revents & (POLLHUP | POLLERR)) != 0) quits_ = true;  // the terminal is gone
  if (files[2].revents != 0) ended_ = true;
}

void Top::take_keys() {
  for (Key key = screen_.key(); key != Key::none; key = screen_.key()) obey(key);
}

int Top::take_signals() {
  while (const int signal = signals_.take()) {
    if (signal != SIGWINCH) return signal;
    screen_.resize();
  }
  return 0;
}

void Top::obey(Key key) {
  const std::size_t pools = std::max<std::size_t>(now_.snapshot.pools.size(), 1);
  const std::size_t pages = has_pool() ? pages_of(before_, now_, pool()).size() : 1;
  switch (key) {
    case Key::quit:
      quits_ = true;
      break;
    case Key::pause:
      paused_ = !paused_;
      break;
    case Key::help:
      helps_ = !helps_;
      break;
    case Key::next_page:
      page_ = (page_ + 1) % pages;
      break;
    case Key::previous_page:
      page_ = (page_ + pages - 1) % pages;
      break;
    case Key::next_pool:
      pool_ = (pool_ + 1) % pools;
      break;
    case Key::previous_pool:
      pool_ = (pool_ + pools - 1) % pools;
      break;
    case Key::down:
      ++scrolled_;
      return;
    case Key::up:
      scrolled_ -= scrolled_ > 0 ? 1 : 0;
      return;
    case Key::none:
      return;
  }
  scrolled_ = 0;
}

void Top::draw() {
  screen_.clear();
  if (screen_.rows() < kFewestRows || screen_.columns() < kFewestColumns) {
    screen_.put(0, 0, fmt::format("this terminal is {}x{}", screen_.columns(), screen_.rows()));
    screen_.put(1, 0, fmt::format("weir top needs {}x{}; q quits", kFewestColumns, kFewestRows));
  } else {
    draw_title(now_.snapshot);
    if (has_pool()) draw_pool();
    screen_.put(screen_.rows() - 1, 0, "q quit  p pause  Tab tables  left right pools  up down scroll  h help");
  }
  screen_.show();
}

void Top::draw_title(const Snapshot& snapshot) {
  std::string title = fmt::format(" {}, process {}", snapshot.program, snapshot.pid);
  title += has_pool()
               ? fmt::format("   pool {} ({} of {})", snapshot.pools[pool()].name, pool() + 1, snapshot.pools.size())
               : "   no pool at the moment";
  if (ended_) title += "   HAS ENDED";
  if (paused_) title += "   paused";
  screen_.put(0, 0, fmt::format("{:<{}}", title, screen_.columns()), Style::bar);
}

void Top::draw_pool() {
  const int height = std::max(7, (screen_.rows() - 8) * 2 / 5);
  draw_chart_and_panel(height);
  int row = height + 2;
  for (const std::string& line : summary_of(before_, now_, pool())) screen_.put(row++, 0, line);
  draw_pages(row + 1);
}

void Top::draw_chart_and_panel(int height) {
  const PoolView& view = now_.snapshot.pools[pool()];
  const auto& samples = history_.at({view.slot, view.name});
  const int width = screen_.columns() - kPanel;
  const auto rows = draw_chart(samples, static_cast<std::size_t>(width), static_cast<std::size_t>(height));
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      screen_.put(row + 1, column, rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)]);
    }
  }
  const int left = width + 1;
  int row = 1;
  for (std::size_t i = kHoldingNames.size(); i-- > 0; ++row) {
    const auto holding = static_cast<Holding>(i);
    screen_.put(row, left, ChartCell{.below = holding, .above = holding});
    screen_.put(row, left + 2, fmt::format("{:<8}{:>10}", kHoldingNames[i], size_text(samples.back()[i])));
  }
  screen_.put(row++, left + 2, fmt::format("{:<8}{:>10}", "all", size_text(sum_of(samples.back()))), Style::bold);
  screen_.put(row, left + 2, fmt::format("{:<8}{:>10}", "law", view.tally().settled ? "holds" : "moving"));
}

void Top::draw_pages(int row) {
  std::vector<Page> pages = helps_ ? std::vector{kHelp} : pages_of(before_, now_, pool());
  std::rotate(pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(helps_ ? 0 : page_), pages.end());
  std::vector<std::pair<std::string, Style>> lines;
  for (const Page& page : pages) {
    lines.emplace_back(page.name, Style::bold);
    for (const std::string& line : page.lines) lines.emplace_back("  " + line, Style::plain);
    lines.emplace_back("", Style::plain);
  }
  const int room = screen_.rows() - 1 - row;
  const auto shown = static_cast<std::size_t>(std::max(room, 1));
  scrolled_ = std::min(scrolled_, lines.size() > shown ? lines.size() - shown : 0);
  for (std::size_t i = scrolled_; i < std::min(lines.size(), scrolled_ + shown); ++i) {
    screen_.put(row++, 0, lines[i].first, lines[i].second);
  }
}

/// As it would have ended without a screen to restore. The library's handler of it would exit instead.
void die_of(int signal) {
  std::signal(signal, SIG_DFL);
  raise(signal);
}

}  // namespace

void run_top(const Target& target, const Pace& pace) {
  require_terminal();
  const Watched watched(target);
  int signal = 0;
  bool ended = false;
  {
    Top top(watched, pace);
    signal = top.run();
    ended = top.process_ended();
  }
  if (signal != 0) die_of(signal);
  if (ended) watched.tell_end();
}

}  // namespace weir::tool
