#!/usr/bin/python3
"""weir-echo (the variable WEIR_ECHO names it) by every receive strategy: what is sent comes back, to slow readers and after a half-close too."""

import contextlib
import functools
import signal
import socket
import time
import unittest

import harness
import wire

WEIR_ECHO = harness.program("WEIR_ECHO")
CLIENTS = 30
CROWD = 100
BYTES = 2 << 20


def client(echo):
    return contextlib.closing(socket.create_connection((echo.host, echo.port), timeout=harness.PATIENCE))


def exchange(sock, size, seed):
    """Sends and ends, while another thread receives to the end; both digests."""
    def speak():
        sent = wire.send(sock, size, seed)
        sock.shutdown(socket.SHUT_WR)
        return sent
    return wire.at_once(speak, lambda: wire.receive(sock))


def speak_until_stuck(socks):
    """They send as much as is taken, and read nothing."""
    text = bytes(1 << 16)
    taken = True
    while taken:
        taken = False
        for sock in socks:
            sock.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                while sock.send(text):
                    taken = True
        time.sleep(0.5)


def by_each_strategy(*options, **how):
    """The test runs once for each, with an echo server of it."""
    def with_servers(test):
        @functools.wraps(test)
        def run(self):
            for strategy in harness.STRATEGIES:
                with (self.subTest(strategy=strategy),
                      harness.Server(WEIR_ECHO, "--recv", strategy, *options, **how) as echo):
                    test(self, echo)
        return run
    return with_servers


class EchoTest(unittest.TestCase):
    @by_each_strategy("--threads", "2")
    def test_all_comes_back_and_then_the_end(self, echo):
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(client(echo)) for _ in range(CLIENTS)]
            jobs = [lambda sock=sock, seed=seed: exchange(sock, BYTES, seed) for seed, sock in enumerate(socks)]
            for sent, received in wire.at_once(*jobs):
                self.assertEqual(received, sent)

    @by_each_strategy()
    def test_small_messages(self, echo):
        with client(echo) as sock:
            for number in range(200):
                message = wire.content(1 + number * 7, seed=number)
                sock.sendall(message)
                self.assertEqual(wire.receive_all(sock, len(message)), message)

    @by_each_strategy(env={"WEIR_BYTES": "4m", "WEIR_RING_ENTRIES": "32"})
    def test_a_slow_reader_holds_back_itself_alone(self, echo):
        with client(echo) as slow, client(echo) as quick:
            slow.setblocking(False)
            stuck = time.monotonic() + harness.PATIENCE
            sent, still = 0, 0
            while still < 20:  # until the kernels' and the server's room is used up
                try:
                    sent += slow.send(wire.content(1 << 16)[:1 << 16])
                    still = 0
                except BlockingIOError:
                    still += 1
                    time.sleep(0.02)
                self.assertLess(time.monotonic(), stuck, "the server takes all from who reads nothing")
            told, received = exchange(quick, BYTES, 5)
            self.assertEqual(received, told)
            slow.setblocking(True)
            slow.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.receive(slow)[0], sent)

    @by_each_strategy(env={"WEIR_BYTES": "8m", "WEIR_RING_ENTRIES": "16"})
    def test_many_slow_readers_leave_memory_for_others(self, echo):
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(client(echo)) for _ in range(CROWD)]
            speak_until_stuck(crowd)
            with client(echo) as quick:
                told, received = exchange(quick, BYTES, 5)
                self.assertEqual(received, told)

    @by_each_strategy()
    def test_a_reset_ends_one_client(self, echo):
        with client(echo) as witness:
            for _ in range(10):
                doomed = socket.create_connection((echo.host, echo.port))
                doomed.sendall(bytes(100_000))
                wire.reset(doomed)
            sent, received = exchange(witness, BYTES, 3)
            self.assertEqual(received, sent)

    @by_each_strategy(env={"WEIR_DEADLINE": "300", "WEIR_IDLE": "100"})
    def test_the_silent_are_ended_at_the_deadline(self, echo):
        with client(echo) as sock:
            sock.sendall(b"here")
            self.assertEqual(wire.receive_all(sock, 4), b"here")
            self.assertEqual(wire.ending(sock)[::2], (0, "reset"), "a cut never looks whole")

    @by_each_strategy("--grace", "20")
    def test_a_signal_ends_it_after_what_is_in_flight(self, echo):
        with client(echo) as sock:
            sock.sendall(b"half a word")
            self.assertEqual(wire.receive_all(sock, 11), b"half a word")
            echo.process.send_signal(signal.SIGINT)
            self.assertEqual(sock.recv(1), b"", "an idle client is ended")
        self.assertEqual(echo.wait(), 0)
        self.assertIn("weir-echo: served 1 connections; all buffers are back: yes", echo.said())

    @by_each_strategy("--grace", "0", env={"WEIR_BYTES": "4m", "WEIR_RING_ENTRIES": "32"})
    def test_the_grace_ends(self, echo):
        with client(echo) as sock:
            sock.settimeout(1)
            with contextlib.suppress(TimeoutError):
                while True:
                    sock.sendall(bytes(1 << 16))  # and reads nothing
            echo.process.send_signal(signal.SIGTERM)
            self.assertEqual(echo.wait(), 0)
            self.assertIn("1 were cut", echo.said())
            self.assertEqual(wire.ending(sock)[2], "reset")

    def test_wrong_arguments(self):
        for arguments, word in (((), "--listen"), (("--listen", "127.0.0.1"), "port"),
                                (("--listen", "127.0.0.1:0", "--recv", "fast"), "fast")):
            answer = harness.run([WEIR_ECHO, *arguments])
            self.assertEqual(answer.returncode, 2)
            self.assertRegex(answer.stderr, r"\Aweir-echo: [^\n]*\n\Z")
            self.assertIn(word, answer.stderr)


if __name__ == "__main__":
    harness.main()
