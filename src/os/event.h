#pragma once

namespace weir::os {

/// A non-blocking eventfd, or -errno.
int make_event();
/// Wakes whoever polls it. Any thread.
void signal_event(int fd);
/// Makes it unreadable again.
void clear_event(int fd);
void close_event(int fd);

}  // namespace weir::os
