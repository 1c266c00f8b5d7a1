#pragma once

#include <chrono>
#include <cstdint>

// What a TCP socket is told and asked beside its data. Who asks of a socket that has failed is answered as well.

namespace weir::server {

/// Has the kernel not wait for more before small answers leave.
void send_without_delay(int fd);

/// Has the kernel end a connection whose peer has vanished: an idle one is probed each minute, and one whose data is
/// not taken for half a minute more than `patience` and a half is over; 0: only the probes end it. What a listening
/// socket is told is so for those that it accepts.
void notice_vanished(int fd, std::chrono::seconds patience);

/// A connect to one that does not answer fails with ETIMEDOUT after so long; 0: when the kernel thinks so.
void limit_connect(int fd, std::chrono::seconds patience);

/// Closing it will send a reset, so that what was cut does not look whole.
void reset_on_close(int fd);

/// False when the connection has ended in both directions, or has failed.
bool is_connected(int fd);

/// Bytes that the peer has confirmed.
std::uint64_t acknowledged(int fd);

/// Since the kernel last sent data of it.
std::chrono::milliseconds since_last_send(int fd);

}  // namespace weir::server
