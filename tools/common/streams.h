#pragma once

#include <chrono>
#include <string>

namespace weir::common {

/// To be called first in main. Where files 0 to 2 are closed, no socket takes their place; and a write that nobody will
/// read is an error, not the program's end by SIGPIPE.
void prepare_streams();

/// A line on standard error, or the beginning of a very long one. It is lost where nobody reads, the disk is full, or
/// there is no room for it within `patience`: by default it does not wait at all, so that a data loop may call it. The
/// next line tells how many were lost.
void write_line(const std::string& line, std::chrono::milliseconds patience = {});

/// The same without a line's end: what a terminal shows for a moment.
void write_passing(const std::string& text);

/// How long a program that ends waits for room for its last line.
constexpr std::chrono::milliseconds kLastPatience{1000};

/// All that was printed has to have arrived: returns `status`, or as output_failed().
int end_output(const std::string& program, int status);

/// Standard output took no more, for the reason in errno. Ends the program by SIGPIPE, quietly, when its reader has
/// gone, as the shell's other tools; else says why and returns 1.
int output_failed(const std::string& program);

}  // namespace weir::common
