#!/usr/bin/python3
"""Peers that vanish, leave, say or take nothing: each connection ends in time, and none that is alive does."""

import contextlib
import functools
import os
import select
import socket
import time
import unittest

import harness
import wire

WEIR_ECHO = harness.program("WEIR_ECHO")
STRATEGIES = ("auto", "epoll")
LONG = "600"  # seconds: longer than any test waits
DEADLINE = 4  # seconds: no machine is so slow that it says nothing for so long
QUIET = 1  # second in which nobody takes anything


def by_each_strategy(test):
    @functools.wraps(test)
    def run(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), contextlib.ExitStack() as stack:
                test(self, strategy, stack)
    return run


def files(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def send_until_stuck(sock):
    """Returns how many bytes were taken."""
    sent = 0
    sock.settimeout(QUIET)
    with contextlib.suppress(TimeoutError):
        while True:
            sent += sock.send(bytes(65536))
    sock.settimeout(harness.PATIENCE)
    return sent


def failed(sock):
    """Whether the connection was reset, without receiving from it."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


class Unanswering:
    """A port of which connects are answered neither well nor badly: its queue is full."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self._waiting = [socket.socket() for _ in range(4)]
        for sock in self._waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_):
        for sock in (self._listener, *self._waiting):
            sock.close()


class Ends(unittest.TestCase):
    def start(self, stack, strategy, *options, **how):
        upstream = stack.enter_context(wire.Upstream())
        proxy = stack.enter_context(harness.Proxy(upstream.port, "--recv", strategy, "--grace", "0", *options, **how))
        return proxy, upstream

    def check_gone(self, server, before):
        harness.until(lambda: files(server) == before, lambda: f"its files are closed: {files(server)}, not {before}")

    def check_resets(self, *socks):
        for sock in socks:
            self.assertEqual(wire.ending(sock)[2], "reset")

    @by_each_strategy
    def test_an_upstream_that_does_not_answer(self, strategy, stack):
        upstream = stack.enter_context(Unanswering())
        proxy = stack.enter_context(harness.Proxy(upstream.port, "--recv", strategy, "--connect-timeout", "1"))
        with wire.connect(proxy) as client:
            self.assertEqual(wire.ending(client)[::2], (0, "reset"))
        self.assertRegex(proxy.complaints()[0], r"timed out.* \(the client was turned away\)")

    @by_each_strategy
    def test_clients_that_leave_while_it_does_not_answer(self, strategy, stack):
        upstream = stack.enter_context(Unanswering())
        proxy = stack.enter_context(harness.Proxy(upstream.port, "--recv", strategy, "--connect-timeout", LONG))
        before = files(proxy)
        for leave in (socket.socket.close, wire.reset):
            clients = [wire.connect(proxy) for _ in range(20)]
            harness.until(lambda: files(proxy) == before + 40, "they are being connected")
            for client in clients:
                leave(client)
            self.check_gone(proxy, before)

    def test_a_deadline_looks_at_both_directions(self):
        with contextlib.ExitStack() as stack:
            pairs = []
            for strategy in STRATEGIES:
                server = self.start(stack, strategy, env={"WEIR_DEADLINE": str(1000 * DEADLINE)})
                pairs += [stack.enter_context(wire.relayed(*server)) for _ in range(2)]
            ways = [pair[::(-1) ** number] for number, pair in enumerate(pairs)]
            end = time.monotonic() + 2.5 * DEADLINE
            while time.monotonic() < end:
                for source, target in ways:
                    source.sendall(b"1234")
                    self.assertEqual(wire.receive_all(target, 4), b"1234")
                time.sleep(0.1)
            for pair in pairs:
                wire.talk(*pair)
            for pair in pairs:
                self.check_resets(*pair)

    def test_a_deadline_of_who_only_reads(self):
        """The last that a client says is answered for longer than that."""
        size = 4 << 20
        with contextlib.ExitStack() as stack:
            clients = []
            for strategy in STRATEGIES:
                env = {"WEIR_DEADLINE": str(1000 * DEADLINE)}
                echo = stack.enter_context(harness.Server(WEIR_ECHO, "--recv", strategy, "--grace", "0", env=env))
                client = stack.enter_context(wire.connect(echo))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                clients.append(client)
            wire.at_once(*(functools.partial(self.read_slowly, client, size) for client in clients))
            self.check_resets(*clients)

    def read_slowly(self, client, size):
        sent, received = wire.at_once(functools.partial(wire.send, client, size),
                                      functools.partial(self.receive_slowly, client, size))
        self.assertEqual((size, wire.digest(received)), sent)

    def receive_slowly(self, client, size):
        pieces = 25 * DEADLINE
        received = b""
        for _ in range(pieces):
            received += wire.receive_all(client, size // pieces)
            time.sleep(0.1)
        return received + wire.receive_all(client, size - len(received))

    @by_each_strategy
    def test_a_peer_that_takes_nothing(self, strategy, stack):
        proxy, upstream = self.start(stack, strategy, "--send-timeout", "1")
        before = files(proxy)
        for way in (0, 1):
            with wire.relayed(proxy, upstream) as pair:
                with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                    wire.send(pair[way], 1 << 30)
                self.check_resets(pair[1 - way])
            self.check_gone(proxy, before)
        proxy.process.terminate()
        self.assertEqual(proxy.wait(), 0)
        self.assertRegex(proxy.complaints()[0], "taken nothing.*--send-timeout")
        self.assertIn("reset 2 that timed out", proxy.complaints()[-1])

    @by_each_strategy
    def test_an_echo_client_that_takes_nothing(self, strategy, stack):
        echo = stack.enter_context(harness.Server(WEIR_ECHO, "--recv", strategy, "--send-timeout", "1"))
        with wire.connect(echo) as client:
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                wire.send(client, 1 << 30)
        echo.process.terminate()
        self.assertEqual(echo.wait(), 0)
        self.assertIn("reset 1 that timed out", echo.complaints()[-1])

    @by_each_strategy
    def test_a_reset_of_who_is_held_back(self, strategy, stack):
        proxy, upstream = self.start(stack, strategy)
        before = files(proxy)
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, upstream) as pair:
                send_until_stuck(pair[way])
                wire.reset(pair[way])
                harness.until(lambda: failed(pair[1 - way]), "the other side is reset, which reads nothing")
            self.check_gone(proxy, before)

    @by_each_strategy
    def test_a_reset_after_all_was_said(self, strategy, stack):
        """Who waits for an answer has nothing more to be received, and may leave all the same."""
        proxy, upstream = self.start(stack, strategy)
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, upstream) as pair:
                wire.talk(*pair)
                pair[way].shutdown(socket.SHUT_WR)
                self.assertEqual(pair[1 - way].recv(1), b"")
                wire.reset(pair[way])
                harness.until(lambda: failed(pair[1 - way]), "the other side is reset")

    @by_each_strategy
    def test_who_has_finished_while_held_back_is_not_gone(self, strategy, stack):
        proxy, upstream = self.start(stack, strategy)
        with wire.relayed(proxy, upstream) as (client, server):
            sent = send_until_stuck(client)
            client.shutdown(socket.SHUT_WR)
            time.sleep(5)  # longer than it waits for those that are gone
            self.assertEqual(wire.ending(server)[::2], (sent, "end"))
            answer = wire.send(server, 1000)
            server.close()
            self.assertEqual(wire.receive(client), answer)

    @by_each_strategy
    def test_what_is_left_of_a_reset_is_not_kept_for_ever(self, strategy, stack):
        """The survivor reads nothing: what its kernel does not take is given up."""
        proxy, upstream = self.start(stack, strategy)
        before = files(proxy)
        survivors = []
        for _ in range(20):
            client, server = stack.enter_context(wire.relayed(proxy, upstream))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.send(server, 1 << 20)
            harness.until(lambda server=server: wire.unacknowledged(server) == 0, "the proxy has all of it")
            wire.reset(server)
            survivors.append(client)
        self.check_gone(proxy, before)
        self.check_resets(*survivors)

    @by_each_strategy
    def test_who_is_silent_is_probed(self, strategy, stack):
        sockets = harness.need("ss")
        proxy, upstream = self.start(stack, strategy)
        with wire.relayed(proxy, upstream) as pair:
            def own():
                shown = harness.run([sockets, "-tnopH", "state", "established"]).stdout.splitlines()
                return [line for line in shown if f"pid={proxy.pid}," in line]

            wire.talk(*pair)
            harness.until(lambda: ["timer:(keepalive," in line for line in own()] == [True] * 2,
                          lambda: f"both are probed: {own()}")


if __name__ == "__main__":
    harness.main()
