#!/usr/bin/python3
"""Wrong arguments and poor surroundings: one clear line and the right status, or a stated degradation."""

import contextlib
import os
import re
import resource
import shutil
import socket
import time
import unittest

import harness
import no_io_uring
import wire

MEGABYTE = 1 << 20
GOOD = ("--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9")


class BadInput(unittest.TestCase):
    def refused(self, status, *words, arguments=GOOD, env=None, before_exec=None):
        """weir-proxy says exactly one line, with these words in it, and ends with this status."""
        answer = harness.run([harness.WEIR_PROXY, *arguments], env={**os.environ, **(env or {})},
                             preexec_fn=before_exec, timeout=10)
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir-proxy: [^\n]{20,}\n\Z")
        for word in words:
            self.assertIn(word.lower(), answer.stderr.lower())

    def check_relays(self, proxy, upstream):
        with wire.relayed(proxy, upstream) as pair:
            for sent, received in wire.exchange([pair], 4 * MEGABYTE):
                self.assertEqual(received, sent)

    def test_version(self):
        answer = harness.run([harness.WEIR_PROXY, "--version"])
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertRegex(answer.stdout, r"\Aweir-proxy \d+\.\d+\.\d+\n\Z")

    def test_help(self):
        answer = harness.run([harness.WEIR_PROXY, "--help"])
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        for option in ("--listen", "--upstream", "--threads", "--pin", "--grace", "--connect-timeout", "--send-timeout"):
            self.assertIn(option, answer.stdout)

    def test_malformed_addresses(self):
        for address in ("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x",
                        "127.0.0.1: 80", "[::1:80", "::1:80", "[::1]80", "127.0.0.1:99999999999999999999"):
            for option, other in (("--listen", "--upstream"), ("--upstream", "--listen")):
                with self.subTest(option=option, address=address):
                    self.refused(2, address, arguments=(option, address, other, "127.0.0.1:9"))
        with self.subTest("port 0 of an upstream"):
            self.refused(2, "port", arguments=("--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:0"))

    def test_wrong_options(self):
        for arguments, word in (((), "--listen"), (GOOD[:2], "--upstream"), (GOOD[2:], "--listen")):
            with self.subTest(arguments=arguments):
                self.refused(2, word, arguments=arguments)
        for surplus, word in ((["--colour"], "--colour"), (["surplus"], "surplus"),
                              (["--threads"], "--threads"), (["--threads", "0"], "--threads"),
                              (["--threads", "-1"], "--threads"), (["--threads", "two"], "two"),
                              (["--threads", "99999999999"], "--threads"), (["--grace", "-1"], "--grace"),
                              (["--grace", "soon"], "soon"), (["--grace", "1e300"], "--grace"),
                              (["--grace", "nan"], "nan"), (["--spin", "-1"], "--spin"), (["a\nb"], "a?b")):
            with self.subTest(surplus=surplus):
                self.refused(2, word, arguments=(*GOOD, *surplus))

    def test_wrong_variables(self):
        for variable, value in (("WEIR_BYTES", "banana"), ("WEIR_BYTES", "-1"), ("WEIR_BYTES", "64q"),
                                ("WEIR_BYTES", "0"), ("WEIR_BYTES", "99999999999999999999g"),
                                ("WEIR_PAGES", "huge"), ("WEIR_CLASSES", "banana"), ("WEIR_SLAB", "3k")):
            with self.subTest(variable=variable, value=value):
                self.refused(2, variable, value, env={variable: value})

    def test_busy_port(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            self.refused(1, address, "in use", arguments=("--listen", address, *GOOD[2:]))
        with wire.Upstream() as upstream, harness.Proxy(upstream.port) as proxy:
            address = f"127.0.0.1:{proxy.port}"
            self.refused(1, address, "in use", arguments=("--listen", address, *GOOD[2:]))
            self.check_relays(proxy, upstream)

    def test_foreign_address(self):
        self.refused(1, "192.0.2.1", arguments=("--listen", "192.0.2.1:7000", *GOOD[2:]))

    @unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
    def test_processors_that_cannot_be_asked_for(self):
        calls = {"sched_getaffinity": no_io_uring.number_of(x86_64=204, aarch64=123),
                 "sched_setaffinity": no_io_uring.number_of(x86_64=203, aarch64=122)}
        for name, number in calls.items():
            with self.subTest(name):
                answer = harness.run([harness.WEIR_PROXY, *GOOD, "--pin"], timeout=10,
                                     preexec_fn=lambda number=number: no_io_uring.forbid([number]))
                self.assertEqual((answer.returncode, answer.stdout), (1, ""))
                self.assertRegex(answer.stderr, r"(?m)^weir-proxy: --pin: the kernel refuses [^\n]+\n\Z")

    def test_more_threads_than_processors(self):
        first = min(os.sched_getaffinity(0))
        with (wire.Upstream() as upstream,
              harness.Proxy(upstream.port, "--pin", "--threads", "3",
                            before_exec=lambda: os.sched_setaffinity(0, {first})) as proxy):
            self.assertIn("--pin: 3 threads share the 1 CPU that the process may use", proxy.said())
            self.check_relays(proxy, upstream)

    def test_unreachable_upstream(self):
        with wire.Upstream() as upstream:
            port = upstream.port
        with harness.Proxy(port) as proxy:
            begin = time.monotonic()
            for _ in range(200):
                # A reset may arrive so soon that connect() itself reports it.
                with contextlib.suppress(ConnectionResetError), wire.connect(proxy) as client:
                    self.assertIn(wire.ending(client)[::2], ((0, "end"), (0, "reset")))
            lines = proxy.complaints()
            expected = rf"^weir-proxy: upstream 127.0.0.1:{port}: [Cc]onnection refused.{{10}}"
            for line in lines:
                self.assertRegex(line, expected)
            self.assertTrue(lines)
            self.assertLess(len(lines), 3 + time.monotonic() - begin, "at most about one a second")
            with wire.Upstream(port=port) as upstream:
                self.check_relays(proxy, upstream)
            proxy.process.terminate()
            self.assertEqual(proxy.wait(), 0)
            self.assertRegex(proxy.complaints()[-1], "^weir-proxy: relayed [0-9]+ connections, turned 200 away; ")

    def test_no_memory(self):
        def little_address_space():
            resource.setrlimit(resource.RLIMIT_AS, (512 * MEGABYTE, 512 * MEGABYTE))

        much = {"WEIR_BYTES": "4g", "WEIR_PAGES": "4k"}
        self.refused(1, "WEIR_BYTES", env=much, before_exec=little_address_space)

    def test_small_pages(self):
        with wire.Upstream() as upstream, harness.Proxy(upstream.port, env={"WEIR_PAGES": "4k"}) as proxy:
            self.check_relays(proxy, upstream)
            arenas = self.arenas(proxy)
            self.assertEqual({arena["page_bytes"] for arena in arenas}, {4096})
            for arena in arenas:
                self.assertIn("4 KiB", arena["grade"])

    def test_whatever_pages_there_are(self):
        with wire.Upstream() as upstream, harness.Proxy(upstream.port) as proxy:
            self.check_relays(proxy, upstream)
            for arena in self.arenas(proxy):
                self.assertTrue(arena["reason"] or "hugetlb" in arena["grade"], f"no reason in {arena}")

    def arenas(self, proxy):
        arenas = [arena for pool in harness.stat(proxy.pid)["pools"] for arena in pool["arenas"]]
        self.assertTrue(arenas)
        return arenas

    def test_little_locked_memory(self):
        user = harness.unprivileged("nobody")
        folder = self.enterContext(harness.temp_folder(user))
        program = shutil.copy(harness.WEIR_PROXY, folder / "weir-proxy")
        trial = harness.run([program, "--help"], **harness.identity(user))
        if trial.returncode != 0:
            self.skipTest(f"an ordinary user cannot run a copy of weir-proxy: {trial.stderr}")

        def little_locked():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))

        limits = {"user": user, "before_exec": little_locked, "env": {"WEIR_PAGES": "4k"}}
        upstream = self.enterContext(wire.Upstream())
        with harness.Proxy(upstream.port, path=program, **limits) as proxy:
            self.check_relays(proxy, upstream)
            for arena in self.arenas(proxy):
                self.assertRegex(arena["reason"] + proxy.said(), "(?i)memlock|ulimit -l")
                self.assertNotRegex(arena["grade"], r"(?<!not )\blocked")

    @unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
    def test_no_threads(self):
        self.refused(1, "thread 1 of 8", "ulimit -u", "pids.max", arguments=(*GOOD, "--threads", "8"),
                     before_exec=no_io_uring.forbid_threads)

    def test_fewer_threads_than_asked_for(self):
        """Those that have started end, and then the program."""
        user = harness.unprivileged("nobody")
        folder = self.enterContext(harness.temp_folder(user))
        program = shutil.copy(harness.WEIR_PROXY, folder / "weir-proxy")

        def few():
            resource.setrlimit(resource.RLIMIT_NPROC, (16, 16))

        answer = harness.run([program, *GOOD, "--threads", "64"], preexec_fn=few, timeout=60,
                             env={**os.environ, "WEIR_PAGES": "4k"}, **harness.identity(user))
        self.assertEqual(answer.returncode, 1, answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir-proxy: cannot start thread \d+ of 64[^\n]*ulimit -u[^\n]*\n\Z")

    def test_few_open_files(self):
        """Connections beyond the limit wait or fail; those that live go on, and the limit's end is felt."""
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        with wire.Upstream() as upstream, harness.Proxy(upstream.port, before_exec=few) as proxy:
            with wire.relayed(proxy, upstream) as witness, contextlib.ExitStack() as stack:
                for _ in range(100):
                    with contextlib.suppress(ConnectionResetError):  # it may be turned away before connect() returns
                        stack.enter_context(wire.connect(proxy))
                harness.until(lambda: re.search("open files|ulimit -n|RLIMIT_NOFILE", proxy.said()),
                              lambda: "the limit is named; it said: " + proxy.said())
                wire.talk(*witness)
            time.sleep(1)
            while upstream.forget_waiting():
                time.sleep(1)
            self.check_relays(proxy, upstream)
            self.assertLess(len(proxy.complaints()), 12)


if __name__ == "__main__":
    harness.main()
