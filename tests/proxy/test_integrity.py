#!/usr/bin/python3
"""Every byte, every end: bulk both ways, half-close, slow readers, resets, scarce buffers."""

import concurrent.futures
import contextlib
import os
import time
import unittest

import harness
import wire

GIGABYTE = 1 << 30
MEGABYTE = 1 << 20


def both_ways(client, server):
    return (("client to server", client, server), ("server to client", server, client))


class Integrity(unittest.TestCase):
    def setUp(self):
        self.upstream = self.enterContext(wire.Upstream())

    def start(self, **settings):
        return self.enterContext(harness.Proxy(self.upstream.port, "--threads", "2", **settings))

    def pairs(self, proxy, count):
        return [self.enterContext(wire.relayed(proxy, self.upstream)) for _ in range(count)]

    def check_exchange(self, pairs, size):
        for sent, received in wire.exchange(pairs, size):
            self.assertEqual(received, sent)

    def test_a_gigabyte_both_ways_at_once(self):
        self.check_exchange(self.pairs(self.start(), 1), GIGABYTE)

    def test_sixteen_connections_at_once(self):
        self.check_exchange(self.pairs(self.start(), 16), 64 * MEGABYTE)

    def test_scarce_buffers(self):
        proxy = self.start(env={"WEIR_BYTES": "8m", "WEIR_SLAB": "64k"})
        self.check_exchange(self.pairs(proxy, 32), 8 * MEGABYTE)
        harness.settled(proxy.pid, empty=("user",))

    def test_addresses(self):
        for listen, upstream, server in (("localhost:0", "127.0.0.1", "127.0.0.1"),
                                         ("[::1]:0", "[::1]", "::1"),
                                         ("127.0.0.1:0", "localhost", "127.0.0.1")):
            with self.subTest(listen=listen, upstream=upstream), contextlib.ExitStack() as stack:
                try:
                    server = stack.enter_context(wire.Upstream(server))
                except OSError as error:
                    self.skipTest(f"no IPv6 on loopback: {error.strerror}")
                proxy = stack.enter_context(harness.Proxy(server.port, listen=listen, upstream=upstream))
                self.check_exchange([stack.enter_context(wire.relayed(proxy, server))], MEGABYTE)

    def test_half_close(self):
        proxy = self.start()
        for first in ("client", "server"):
            for size in (0, 1, *20 * [10 * MEGABYTE]):  # many, for the ends meet differently each time
                with self.subTest(size=size, first=first), wire.relayed(proxy, self.upstream) as pair:
                    ends = pair if first == "client" else pair[::-1]
                    for sent, received in wire.question_and_answer(*ends, size, size + 7):
                        self.assertEqual(received, sent)

    def test_close_reaches_the_other_side(self):
        proxy = self.start()
        for closer in (0, 1):
            with self.subTest(closer=("client", "server")[closer]):
                with wire.relayed(proxy, self.upstream) as pair:
                    wire.talk(*pair)
                    pair[closer].close()
                    self.assertEqual(pair[1 - closer].recv(1), b"")

    def stalled(self, *senders):
        """Waits until the proxy takes no more of what these ends send; returns how much it took."""
        last = -1
        while (now := sum(map(wire.acknowledged, senders))) != last:
            last = now
            time.sleep(1)
        return now

    def test_slow_reader(self):
        proxy = self.start(env={"WEIR_BYTES": "64m"})
        for way in (0, 1):
            with (self.subTest(way=way), wire.relayed(proxy, self.upstream) as pair,
                  concurrent.futures.ThreadPoolExecutor(1) as background):
                name, source, target = both_ways(*pair)[way]
                before = harness.resident(proxy.pid)
                sending = background.submit(wire.send, source, GIGABYTE)
                taken = self.stalled(source)
                self.assertFalse(sending.done(), "a gigabyte vanished into the proxy and the sockets")
                grown = harness.resident(proxy.pid) - before
                self.assertLess(grown, 64 * MEGABYTE, "memory beyond WEIR_BYTES")
                held = sum(size["user"] * size["bytes"] for size in harness.classes(harness.stat(proxy.pid)))
                self.assertLess(held, 16 * MEGABYTE, "one slow reader holds too much of the pool")
                print(f"{name}: stalled after {taken >> 20} MiB, the proxy holds {held >> 10} KiB of it "
                      f"and grew by {grown >> 10} KiB")
                received = wire.receive(target, GIGABYTE)
                self.assertEqual(received, sending.result())

    def test_slow_readers_do_not_stop_others(self):
        proxy = self.start(env={"WEIR_BYTES": "32m"})
        slow = self.pairs(proxy, 16)
        size = 64 * MEGABYTE
        with concurrent.futures.ThreadPoolExecutor(len(slow)) as background:
            sending = [background.submit(wire.send, client, size, seed)
                       for seed, (client, _) in enumerate(slow)]
            self.stalled(*(client for client, _ in slow))
            self.assertFalse(any(job.done() for job in sending))
            self.check_exchange(self.pairs(proxy, 2), 4 * MEGABYTE)
            for (_, server), job in zip(slow, sending):
                self.assertEqual(wire.receive(server, size), job.result())

    def test_reset_after_delivery(self):
        proxy = self.start()
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, self.upstream) as pair:
                name, source, target = both_ways(*pair)[way]
                size, sent = wire.send(source, 300_000)
                harness.until(lambda: wire.unacknowledged(source) == 0, "the proxy has all of it")
                wire.reset(source)
                time.sleep(0.3)  # lets a hasty proxy throw away what it still holds
                self.assertEqual(wire.ending(target), (size, sent, "reset"), name)

    def test_reset_in_the_middle(self):
        proxy = self.start()
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, self.upstream) as pair:
                name, source, target = both_ways(*pair)[way]

                def send_and_reset():
                    wire.send(source, 50 * MEGABYTE)
                    wire.reset(source)

                _, (count, received, end) = wire.at_once(send_and_reset, lambda: wire.ending(target))
                self.assertEqual(end, "reset", f"{name}, after {count} bytes")
                self.assertEqual(received, wire.digest(wire.content(count)))

    def test_reset_of_a_reader(self):
        """The end that resets was receiving: the sender must learn of it."""
        proxy = self.start()
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, self.upstream) as pair:
                name, source, target = both_ways(*pair)[way]

                def take_some_and_reset():
                    wire.receive(target, 3 * MEGABYTE)
                    wire.reset(target)

                def send_until_it_fails():
                    with self.assertRaises((ConnectionResetError, BrokenPipeError), msg=name):
                        wire.send(source, GIGABYTE)

                wire.at_once(take_some_and_reset, send_until_it_fails)

    def test_reset_of_both_ends(self):
        """The one that resets last never took what the other had said before: nothing may wait for that."""
        proxy = self.start()
        files = len(os.listdir(f"/proc/{proxy.pid}/fd"))
        for way in (0, 1):
            with self.subTest(way=way), wire.relayed(proxy, self.upstream) as pair:
                name, source, target = both_ways(*pair)[way]
                wire.send(source, MEGABYTE)
                harness.until(lambda: wire.unacknowledged(source) == 0, "the proxy has all of it")
                harness.settled(proxy.pid)  # and the kernel has it from the proxy
                wire.reset(source)
                time.sleep(0.3)  # lets the proxy see the one before the other
                wire.reset(target)
                harness.until(lambda: len(os.listdir(f"/proc/{proxy.pid}/fd")) == files, f"{name}: its files are closed")


if __name__ == "__main__":
    harness.main()
