#pragma once

namespace weir::tool {

// What `--help` says after the options.

inline constexpr auto kWatchNotes = R"notes(Columns; a narrow terminal shows as many as fit:
  recv/s B/s             pieces of data that receivers delivered, and their bytes
  lend/s hit%            loans; of those not from the kernel's rings, how many the thread's own magazine had (- where none
                         lends: with WEIR_TRACE=1, in a small pool, or when all come from rings)
  refill                 batches from a depot to a magazine, a second
  empty nobufs           lends that found no buffer, and receives (ENOBUFS), a second
  reclaim                receives of silent connections that gave their buffer back, a second
  conns idle parked      connections; of them, those that wait for data without a buffer, and those that wait for a buffer
  user ring req          buffers in the program's hands, in the kernel's rings, and in requests
  cached free            buffers in threads' magazines, and in depots
A rate is - when its pool or receiver was replaced meanwhile; with --json, a_second is null then.

Exit status: 0 after --count lines; 1 when the process ends; Ctrl-C ends it.

Examples:
  weir watch                           the only process that has pools
  weir watch 1234 --interval 5s
  weir watch 1234 --json --count 60 > minute.json)notes";

inline constexpr auto kTopNotes =
    R"notes(Keys: q quits, p pauses, Tab and Shift-Tab turn the page, left and right go to another pool, up and down scroll, h helps.
When the process ends, the last picture stays until q. Exit status: 0, or 1 when the process ended.

Examples:
  weir top                             the only process that has pools
  weir top 1234 --interval 250ms)notes";

inline constexpr auto kCompletionNotes = R"notes(Examples:
  eval "$(weir completion bash)"       in ~/.bashrc
  eval "$(weir completion zsh)"        in ~/.zshrc, after compinit
  weir completion fish | source        in ~/.config/fish/config.fish)notes";

}  // namespace weir::tool
