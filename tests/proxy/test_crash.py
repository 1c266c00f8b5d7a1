#!/usr/bin/python3
"""Sudden deaths and orderly ends in the middle of traffic."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
import unittest

import harness
import no_io_uring
import wire

VICTIMS = 8
DOWNLOAD = 100_000_000
SHARED = ("/dev/shm", "/tmp", "/run", "/var/tmp")
FORK = multiprocessing.get_context("fork")


def endless(sock):
    """Sends and receives until the connection ends, whichever way."""
    def forever(step):
        with contextlib.suppress(OSError):
            while step() != b"":
                pass

    sock.settimeout(None)
    message = wire.content(100_000)
    sender = threading.Thread(target=forever, args=(lambda: sock.sendall(message),), daemon=True)
    sender.start()
    forever(lambda: sock.recv(1 << 18))
    sock.close()
    sender.join()


def links(pid):
    """The files that a process has open or mapped."""
    for kind in ("fd", "map_files"):
        with contextlib.suppress(PermissionError):
            for entry in os.scandir(f"/proc/{pid}/{kind}"):
                with contextlib.suppress(FileNotFoundError):
                    yield os.readlink(entry.path)


def shared_places():
    return {f"{folder}/{name}" for folder in SHARED for name in os.listdir(folder)}


class Crash(unittest.TestCase):
    def setUp(self):
        self.upstream = self.enterContext(wire.Upstream())

    def start(self, *options, **how):
        return self.enterContext(harness.Proxy(self.upstream.port, "--threads", "2", *options, **how))

    def pairs(self, stack, proxy, count):
        return [stack.enter_context(wire.relayed(proxy, self.upstream)) for _ in range(count)]

    def test_kill_one_side(self):
        proxy = self.start()
        for doomed in (0, 1):
            with self.subTest(killed=("client", "upstream")[doomed]):
                self.check_kill(proxy, doomed)
                harness.settled(proxy.pid)

    def check_kill(self, proxy, doomed):
        with contextlib.ExitStack() as stack:
            witness, *pairs = self.pairs(stack, proxy, 1 + VICTIMS)
            survivors = stack.enter_context(concurrent.futures.ThreadPoolExecutor(VICTIMS))
            processes = [FORK.Process(target=endless, args=(pair[doomed],), daemon=True) for pair in pairs]
            for process, pair in zip(processes, pairs):
                process.start()
                stack.callback(process.kill)  # before the survivors are waited for
                pair[doomed].close()
            ends = [survivors.submit(endless, pair[1 - doomed]) for pair in pairs]
            self.check(witness)
            for process in processes:
                process.kill()
            self.check(witness)
            self.check_ended(ends)
            harness.settled(proxy.pid, empty=("user",))
            self.check(witness)

    def check_ended(self, ends):
        _, waiting = concurrent.futures.wait(ends, harness.PATIENCE)
        self.assertFalse(waiting, "the death did not reach the other side")

    def check(self, pair):
        for sent, received in wire.exchange([pair], 8 << 20):
            self.assertEqual(received, sent)

    def test_kill_the_proxy(self):
        before = shared_places()
        proxy = self.start()
        build = os.path.dirname(os.path.dirname(os.path.realpath(harness.WEIR_PROXY)))
        open_files = [path for path in links(proxy.pid) if not path.startswith(build)]
        self.assertTrue(open_files)
        named = [path for path in open_files if path.startswith(SHARED) and not path.endswith("(deleted)")]
        self.assertEqual(named, [], "files with a name outlive a kill -9")
        with contextlib.ExitStack() as stack:
            pairs = self.pairs(stack, proxy, VICTIMS)
            survivors = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2 * VICTIMS))
            stack.callback(proxy.process.kill)  # before the survivors are waited for
            ends = [survivors.submit(endless, end) for pair in pairs for end in pair]
            for end in (end for pair in pairs for end in pair):
                harness.until(lambda end=end: wire.acknowledged(end) > 1 << 20, "traffic through the proxy")
            proxy.process.kill()
            self.check_ended(ends)
        self.assertEqual(proxy.wait(), -signal.SIGKILL)
        answer = harness.ask_tool("stat", proxy.pid)
        self.assertEqual((answer.returncode, answer.stdout), (1, ""))
        self.assertRegex(answer.stderr, rf"\Aweir: .*\b{proxy.pid}\b.*\n\Z")
        self.assertRegex(answer.stderr, "(?i)no (such )?process|not running|does not exist")
        listing = harness.ask_tool("stat")
        self.assertNotRegex(listing.stdout + listing.stderr, rf"\b{proxy.pid}\b")
        new = {path for path in shared_places() - before if harness.FOLDER_PREFIX not in path}
        self.assertEqual([path for path in new if re.search(rf"weir-proxy|\b{proxy.pid}\b", path)], [])

    def test_interrupt_finishes_what_is_in_flight(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            for way in (0, 1):
                with self.subTest(signal=number.name, way=("upload", "download")[way]):
                    proxy = self.start("--grace", "30")
                    with wire.relayed(proxy, self.upstream) as pair:
                        self.check_last_transfer(proxy, number, source=pair[way], target=pair[1 - way])
                    self.assertEqual(proxy.wait(), 0, proxy.said())
                    self.assertRegex(proxy.complaints()[-1], "^weir-proxy: relayed 1 connection")

    def check_last_transfer(self, proxy, number, source, target, again_after=None):
        def send():
            sent = wire.send(source, DOWNLOAD)
            source.close()
            return sent

        with concurrent.futures.ThreadPoolExecutor(1) as background:
            sending = background.submit(send)
            beginning = wire.receive_all(target, DOWNLOAD // 10)
            proxy.process.send_signal(number)
            if again_after is not None:
                time.sleep(again_after)
                proxy.process.send_signal(number)
            self.check_refuses(proxy)
            self.assertFalse(sending.done())
            rest = wire.receive_all(target, DOWNLOAD)
            target.close()
            self.assertEqual((DOWNLOAD, wire.digest(beginning + rest)), sending.result())

    def check_refuses(self, proxy):
        harness.until(lambda: not harness.listens(proxy.port), "the proxy listens no more")
        with self.assertRaises(ConnectionRefusedError):
            wire.connect(proxy)

    def test_interrupt_leaves_a_question_its_answer(self):
        """A client that has said all and waits for a slow server is in flight, too."""
        proxy = self.start("--grace", "30")
        with wire.relayed(proxy, self.upstream) as (client, server):
            question = wire.send(client, 1000)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.receive(server), question)
            proxy.process.send_signal(signal.SIGINT)
            time.sleep(3)
            answer = wire.send(server, 100_000, seed=1)
            server.close()
            self.assertEqual(wire.receive(client), answer)
        self.assertEqual(proxy.wait(), 0, proxy.said())

    def test_two_signals_at_once_are_one(self):
        """`timeout` and service managers send two: what is in flight goes on."""
        for between in (0, 0.02):
            with self.subTest(between=between):
                proxy = self.start("--grace", "30")
                with wire.relayed(proxy, self.upstream) as (client, server):
                    self.check_last_transfer(proxy, signal.SIGTERM, source=client, target=server, again_after=between)
                self.assertEqual(proxy.wait(), 0, proxy.said())
                self.assertRegex(proxy.complaints()[-1], "^weir-proxy: relayed 1 connection")

    @unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
    def test_signals_where_they_cannot_be_waited_for(self):
        sigtimedwait = no_io_uring.number_of(x86_64=128, aarch64=137)
        proxy = self.start(before_exec=lambda: no_io_uring.forbid([sigtimedwait]))
        proxy.process.send_signal(signal.SIGTERM)
        self.assertEqual(proxy.wait(), 0, proxy.said())

    def test_later_interrupt_ends_at_once(self):
        proxy = self.start("--grace", "600")
        with wire.relayed(proxy, self.upstream) as (client, server):
            wire.talk(client, server)
            question = wire.send(client, 1000)  # which is in flight until it is answered
            self.assertEqual(wire.receive(server, 1000), question)
            proxy.process.send_signal(signal.SIGINT)
            self.check_refuses(proxy)
            time.sleep(1.1)
            proxy.process.send_signal(signal.SIGINT)
            self.assertEqual(proxy.wait(), 130, proxy.said())

    def test_grace_ends(self):
        proxy = self.start("--grace", "1")
        with wire.relayed(proxy, self.upstream) as pair:
            wire.talk(*pair)
            proxy.process.send_signal(signal.SIGINT)
            self.assertEqual(proxy.wait(), 0, proxy.said())
            for end in pair:
                self.assertIn(wire.ending(end)[2], ("end", "reset"))

    def test_grace_ends_in_the_middle(self):
        """What the grace cuts off must not look whole to the one who receives it."""
        for way in (0, 1):
            with self.subTest(way=("upload", "download")[way]):
                proxy = self.start("--grace", "1")
                with (wire.relayed(proxy, self.upstream) as pair,
                      concurrent.futures.ThreadPoolExecutor(1) as background):
                    sending = background.submit(wire.send, pair[way], DOWNLOAD)
                    beginning = len(wire.receive_all(pair[1 - way], DOWNLOAD // 10))
                    proxy.process.send_signal(signal.SIGINT)
                    self.assertEqual(proxy.wait(), 0, proxy.said())
                    self.assertRaises(OSError, sending.result)
                    count, _, end = wire.ending(pair[1 - way])
                    self.assertLess(beginning + count, DOWNLOAD)
                    self.assertEqual(end, "reset", f"after {beginning + count} of {DOWNLOAD} bytes")


if __name__ == "__main__":
    harness.main()
