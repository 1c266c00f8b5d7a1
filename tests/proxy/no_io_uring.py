"""System calls forbidden by a seccomp filter: those of io_uring as in Docker's default profile, or others."""
import ctypes
import errno
import platform
import struct

KNOWN = platform.machine() in ("x86_64", "aarch64")
UNKNOWN = f"the numbers of io_uring's calls are not known on {platform.machine()}"
CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # the same on every 64-bit Linux
THREAD_CALL = 435  # clone3


def number_of(x86_64, aarch64):
    """The number of a call on this machine."""
    return {"x86_64": x86_64, "aarch64": aarch64}.get(platform.machine())


def forbid_io_uring(error=errno.EPERM, calls=tuple(CALLS)):
    """Makes these calls of io_uring fail with this errno in this process and its children."""
    forbid([CALLS[call] for call in calls], error)


def forbid_threads():
    """As where the limit on processes is reached."""
    forbid([THREAD_CALL], errno.EAGAIN)


def forbid(calls, error=errno.EPERM):
    """Makes the calls of these numbers fail with this errno in this process and its children, by a seccomp filter."""
    load, jump_equal, give = 0x20, 0x15, 0x06
    count = len(calls)
    program = b"".join(struct.pack("HBBI", *line) for line in (
        (load, 0, 0, 0),  # the number of the system call
        *((jump_equal, count - at, 0, number) for at, number in enumerate(calls)),
        (give, 0, 0, 0x7FFF0000),
        (give, 0, 0, 0x00050000 | error)))
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
