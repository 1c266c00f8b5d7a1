#include "screen.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <ncurses.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <clocale>
#include <cstdlib>
#include <string_view>

#include "failure.h"

namespace weir::tool {
namespace {

constexpr int kHoldings = static_cast<int>(Holding::nobody) + 1;
constexpr std::array kBlocks{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::string_view kLetters = "qruc. ";  // request, ring, user, cached, free, nobody
constexpr std::array<short, kHoldings> kColours{COLOR_RED, COLOR_MAGENTA, COLOR_YELLOW, COLOR_CYAN, COLOR_BLUE, -1};

/// The colour pair of one holder on another.
short pair_of(Holding below, Holding above) {
  return static_cast<short>(1 + static_cast<int>(below) * kHoldings + static_cast<int>(above));
}

void make_colours() {
  start_color();
  use_default_colors();
  for (int below = 0; below < kHoldings; ++below) {
    for (int above = 0; above < kHoldings; ++above) {
      init_pair(pair_of(static_cast<Holding>(below), static_cast<Holding>(above)),
                kColours[static_cast<std::size_t>(below)], kColours[static_cast<std::size_t>(above)]);
    }
  }
}

attr_t attributes_of(Style style) {
  switch (style) {
    case Style::bold:
      return A_BOLD;
    case Style::bar:
      return A_REVERSE;
    default:
      return A_NORMAL;
  }
}

}  // namespace

void require_terminal() {
  if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) return;
  throw Failure("`weir top` needs a terminal: for a pipe or a file there is `weir watch`", kExitUsage);
}

Screen::Screen() {
  std::setlocale(LC_CTYPE, "");
  if (newterm(nullptr, stdout, stdin) == nullptr) {
    const char* const name = std::getenv("TERM");
    throw Failure(fmt::format("cannot drive a terminal of the kind TERM={}: try `TERM=xterm weir top`, or `weir watch`",
                              name != nullptr ? name : ""));
  }
  cbreak();
  noecho();
  curs_set(0);
  keypad(stdscr, true);
  nodelay(stdscr, true);
  set_escdelay(25);
  const char* const no_color = std::getenv("NO_COLOR");
  coloured_ = has_colors() && (no_color == nullptr || *no_color == '\0');
  blocks_ = coloured_ && std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  if (coloured_) make_colours();
}

Screen::~Screen() { endwin(); }

int Screen::rows() const { return getmaxy(stdscr); }
int Screen::columns() const { return getmaxx(stdscr); }

void Screen::resize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
    resizeterm(size.ws_row, size.ws_col);
  }
}

void Screen::clear() { erase(); }

void Screen::put(int row, int column, const std::string& text, Style style) {
  attrset(attributes_of(style));
  if (move(row, column) == OK) addnstr(text.c_str(), columns() - column);
  attrset(A_NORMAL);
}

void Screen::put(int row, int column, const ChartCell& cell) {
  const Holding most = cell.eighths >= 4 ? cell.below : cell.above;
  const std::string letter(1, kLetters[static_cast<std::size_t>(most)]);
  if (coloured_) color_set(blocks_ ? pair_of(cell.below, cell.above) : pair_of(most, Holding::nobody), nullptr);
  if (move(row, column) == OK) {
    addstr(!blocks_                        ? letter.c_str()
           : cell.below == Holding::nobody ? " "
                                           : kBlocks[static_cast<std::size_t>(cell.eighths)]);
  }
  attrset(A_NORMAL);
}

void Screen::show() { refresh(); }

Key Screen::key() {
  switch (getch()) {
    case 'q':
      return Key::quit;
    case 'p':
      return Key::pause;
    case 'h':
    case '?':
      return Key::help;
    case '\t':
      return Key::next_page;
    case KEY_BTAB:
      return Key::previous_page;
    case KEY_RIGHT:
      return Key::next_pool;
    case KEY_LEFT:
      return Key::previous_pool;
    case KEY_UP:
      return Key::up;
    case KEY_DOWN:
      return Key::down;
    default:
      return Key::none;
  }
}

}  // namespace weir::tool
