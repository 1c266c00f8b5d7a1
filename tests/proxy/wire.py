"""Both ends of a relayed connection, and streams that show every byte lost, changed, doubled or moved."""

import contextlib
import fcntl
import functools
import hashlib
import random
import select
import socket
import struct
import termios
import threading

from harness import PATIENCE

_POOL = random.Random(1).randbytes(8 << 20)
_LENGTHS = (1 << 20, 1, 65536, 511, 1 << 19, 4097, 16384, 777_777)


def pieces(size, seed=0):
    """`size` bytes in pieces of many lengths. Neighbours come from far places of the random pool, so that
    no stale or swapped buffer can look right. A shorter stream is the beginning of a longer one."""
    place = seed * 1_000_003
    step = 0
    while size > 0:
        length = min(size, _LENGTHS[step % len(_LENGTHS)])
        start = place % (len(_POOL) - max(_LENGTHS))
        yield memoryview(_POOL)[start:start + length]
        size -= length
        place += 611_953
        step += 1


def content(size, seed=0):
    return b"".join(pieces(size, seed))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def send(sock, size, seed=0):
    """Sends `size` bytes; returns their number and SHA-256."""
    sha = hashlib.sha256()
    for piece in pieces(size, seed):
        sock.sendall(piece)
        sha.update(piece)
    return size, sha.hexdigest()


def receive(sock, size=None):
    """Receives `size` bytes, or all to the end; returns their number and SHA-256."""
    sha = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    count = 0
    while size is None or count < size:
        got = sock.recv_into(buffer if size is None else buffer[:min(len(buffer), size - count)])
        if got == 0:
            break
        sha.update(buffer[:got])
        count += got
    return count, sha.hexdigest()


def ending(sock):
    """Receives to the end; returns the number of bytes, their SHA-256, and how it ended: "end" or "reset"."""
    sha = hashlib.sha256()
    count = 0
    try:
        while part := sock.recv(1 << 18):
            sha.update(part)
            count += len(part)
    except ConnectionResetError:
        return count, sha.hexdigest(), "reset"
    return count, sha.hexdigest(), "end"


def receive_all(sock, size):
    """Exactly `size` bytes, fewer only where the stream ends."""
    parts = bytearray()
    while len(parts) < size and (part := sock.recv(size - len(parts))):
        parts += part
    return bytes(parts)


def at_once(*jobs):
    """Runs the jobs in a thread each and returns their results in order; the first error is raised."""
    results = [None] * len(jobs)
    errors = []

    def run(index, job):
        try:
            results[index] = job()
        except Exception as error:  # handed to the caller below
            errors.append(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def unacknowledged(sock):
    """Bytes sent that the other kernel has not confirmed."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


def acknowledged(sock):
    """Bytes sent that the other kernel has confirmed (tcpi_bytes_acked)."""
    return struct.unpack_from("Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128), 120)[0]


def reset(sock):
    """Ends the connection abnormally: the peer gets a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def connect(proxy):
    sock = socket.create_connection((proxy.host, proxy.port), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Upstream:
    """The server behind the proxy, of which the test itself holds the accepted ends."""

    def __init__(self, address="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=4096)
        self._listener.settimeout(PATIENCE)
        self.port = self._listener.getsockname()[1]

    def accept(self):
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def forget_waiting(self):
        """Closes the connections that nobody accepted and returns their number."""
        count = 0
        while select.select([self._listener], [], [], 0)[0]:
            self.accept().close()
            count += 1
        return count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


@contextlib.contextmanager
def relayed(proxy, upstream):
    """One connection through the proxy: the client's end and the server's."""
    with connect(proxy) as client, upstream.accept() as server:
        yield client, server


def exchange(pairs, size):
    """`size` bytes each way over each pair, all at once; returns (sent, received) for each stream."""
    jobs = []
    for number, (client, server) in enumerate(pairs):
        for way, (source, target) in enumerate(((client, server), (server, client))):
            seed = 2 * number + way
            jobs.append(functools.partial(send, source, size, seed))
            jobs.append(functools.partial(receive, target, size))
    results = at_once(*jobs)
    return list(zip(results[::2], results[1::2]))


def question_and_answer(asks, answers, question_size, answer_size):
    """One end says all it has and shuts its side; the other then answers and closes. Returns (sent, received)
    of the question and of the answer."""
    def ask():
        question = send(asks, question_size, seed=1)
        asks.shutdown(socket.SHUT_WR)
        return question, receive(asks)

    def answer():
        question = receive(answers)
        sent = send(answers, answer_size, seed=2)
        answers.close()
        return question, sent

    (asked, got_answer), (got_question, answered) = at_once(ask, answer)
    return (asked, got_question), (answered, got_answer)


def talk(client, server, seed=0):
    """A short message each way, checked: the connection lives and is the one it was."""
    for source, target, text in ((client, server, b"ask"), (server, client, b"say")):
        message = b"%s %d %s" % (text, seed, content(100, seed))
        source.sendall(message)
        got = receive_all(target, len(message))
        assert got == message, f"sent {message[:20]}..., received {len(got)} bytes {got[:20]}..."
