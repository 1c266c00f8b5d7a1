#!/usr/bin/python3
"""Many slow readers on little memory: they hold a share of the pool together, others go on, and they miss nothing."""

import contextlib
import selectors
import socket
import unittest

import harness
import wire

WEIR_ECHO = harness.program("WEIR_ECHO")
CONTENT = wire.content(8 << 20)
# Segments as on a real network: on loopback each connection would else take megabytes of the kernel.
SEGMENT = 1000
QUIET = 1  # second in which nobody takes anything
CHECKED = 20  # slow readers that read on in the end


def slow_client(server):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sock.settimeout(harness.PATIENCE)
    sock.connect((server.host, server.port))
    return sock


def send_until_stuck(socks):
    """Each sends the content as far as it is taken; returns how much, in their order."""
    sent = dict.fromkeys(socks, 0)
    with selectors.DefaultSelector() as ready:
        for sock in socks:
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_WRITE)
        while events := ready.select(QUIET):
            for key, _ in events:
                with contextlib.suppress(BlockingIOError):
                    begin = sent[key.fileobj]
                    sent[key.fileobj] += key.fileobj.send(CONTENT[begin:begin + 65536])
    return [sent[sock] for sock in socks]


class SlowReaders(unittest.TestCase):
    def check_share(self, server):
        numbers = harness.stat(server.pid)
        held = sum(size["user"] * size["bytes"] for size in harness.classes(numbers))
        memory = sum(arena["bytes"] for pool in numbers["pools"] for arena in pool["arenas"])
        self.assertLessEqual(held, memory // 2, "slow readers have most of the pool")

    def check_all_comes(self, readers, sent):
        for number, (reader, size) in enumerate(zip(readers[:CHECKED], sent)):
            self.assertLess(size, len(CONTENT), "it is not stuck")
            self.assertEqual(wire.digest(wire.receive_all(reader, size)), wire.digest(CONTENT[:size]), number)

    def check_proxy(self, count, *options, **env):
        upstream = self.enterContext(wire.Upstream())
        with (harness.Proxy(upstream.port, "--grace", "0", *options, env=env) as proxy,
              contextlib.ExitStack() as stack):
            witness = stack.enter_context(wire.relayed(proxy, upstream))
            pairs = []
            for _ in range(count):
                pairs.append((stack.enter_context(slow_client(proxy)), stack.enter_context(upstream.accept())))
                pairs[-1][1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            readers, senders = zip(*pairs)
            sent = send_until_stuck(senders)
            self.check_share(proxy)
            newcomer = stack.enter_context(wire.relayed(proxy, upstream))
            for seed in range(20):
                wire.talk(*witness, seed=seed)
                wire.talk(*newcomer, seed=seed)
            for told, received in wire.exchange([newcomer], 1 << 20):
                self.assertEqual(received, told)
            self.check_all_comes(readers, sent)

    def test_two_megabytes(self):
        harness.allow_files(1000)
        for strategy in ("auto", *harness.STRATEGIES):
            with self.subTest(strategy=strategy):
                self.check_proxy(200, "--recv", strategy, WEIR_BYTES="2m")

    def test_eight_megabytes(self):
        harness.allow_files(2000)
        for strategy in ("auto", "epoll"):
            with self.subTest(strategy=strategy):
                self.check_proxy(800, "--recv", strategy, WEIR_BYTES="8m")

    def test_echo(self):
        for strategy in ("auto", "epoll"):
            with (self.subTest(strategy=strategy), contextlib.ExitStack() as stack,
                  harness.Server(WEIR_ECHO, "--grace", "0", "--recv", strategy, env={"WEIR_BYTES": "2m"}) as echo):
                slow = [stack.enter_context(slow_client(echo)) for _ in range(200)]
                sent = send_until_stuck(slow)
                self.check_share(echo)
                with wire.connect(echo) as quick:
                    for seed in range(20):
                        wire.talk(quick, quick, seed=seed)
                for sock in slow:
                    sock.settimeout(harness.PATIENCE)
                self.check_all_comes(slow, sent)
                for sock in slow:
                    wire.reset(sock)


if __name__ == "__main__":
    harness.main()
