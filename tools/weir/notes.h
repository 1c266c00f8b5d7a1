#pragma once

namespace weir::tool {

// What `--help` says after the options.

inline constexpr auto kStatNotes =
    R"notes(Exit status: 0; 1: there is no such process, or it may not be looked into; 2: several have pools, so name one.

Examples:
  weir stat                            the only process that has pools
  weir stat 1234 --save then.weir
  weir stat --segment then.weir --json)notes";

inline constexpr auto kMapNotes = R"notes(Exit status: 0; 1: there is no such process, or a file that was not written.

Examples:
  weir map 1234
  weir map 1234 --html map.html
  weir map --segment then.weir --svg - > map.svg)notes";

inline constexpr auto kHoldersNotes =
    R"notes(A saved copy has the addresses of the stacks only: their names are known while the process runs.
Exit status: 0, also when nobody holds any; 1: there is no such process, or it does not trace.

Examples:
  weir holders 1234
  weir holders 1234 --older 5m)notes";

inline constexpr auto kExportNotes = R"notes(Exit status: 0; 1: there is no such process, or the address cannot be had.

Examples:
  weir export 1234                     once
  weir export --listen 127.0.0.1:9464  curl http://127.0.0.1:9464/metrics)notes";

inline constexpr auto kAdviseNotes = R"notes(Exit status: 0, whatever is advised; 1: there is no such process.

Examples:
  weir advise 1234                     by all since its start
  weir advise 1234 --seconds 1m        by the next minute)notes";

inline constexpr auto kDoctorNotes =
    R"notes(Exit status: 0: all is ok; 3: something is degraded; 1: something is broken.

Examples:
  weir doctor --load 10000,4k
  weir doctor --json | jq .plan.variables)notes";

inline constexpr auto kEnvNotes =
    R"notes(Exit status: 0; 1: a value is bad, so that no pool can be made, or there is no such process.

Examples:
  weir env                             what a program would be started with from here
  weir env 1234)notes";

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
A rate is - when its pool or receiver was replaced meanwhile; with --json, a_second is null then. With --json, each line
is an object.

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
