#pragma once

#include <string>

#include "chart.h"

namespace weir::tool {

enum class Style { plain, bold, bar };

/// What a key press asks for.
enum class Key { none, quit, pause, help, next_page, previous_page, next_pool, previous_pool, up, down };

/// Throws Failure when standard input or output is no terminal.
void require_terminal();

/// The whole terminal, from construction to destruction, which restores it.
class Screen {
 public:
  /// Throws Failure when it cannot be driven.
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  int rows() const;
  int columns() const;
  /// Takes the terminal's size anew.
  void resize();

  void clear();
  /// Text that does not fit the row is cut; nothing happens where there is no such place.
  void put(int row, int column, const std::string& text, Style style = Style::plain);
  void put(int row, int column, const ChartCell& cell);
  /// Makes visible what was put.
  void show();

  /// The next key press, if there is one.
  Key key();

 private:
  bool coloured_ = false;
  bool blocks_ = false;  ///< the terminal has characters that are filled in part
};

}  // namespace weir::tool
