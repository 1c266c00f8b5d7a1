#!/usr/bin/python3
"""`weir watch` and `weir top` beside a proxy under load: they show what redis-benchmark says that it did."""

import contextlib
import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time
import unittest

import harness

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tool"))
from terminal import Terminal  # noqa: E402

PIECES = 2  # what a request makes the proxy receive: itself, and its answer
SET_BYTES = len("*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$100\r\n" + 100 * "x" + "\r\n" + "+OK\r\n")


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        binary, cls.benchmark = harness.need("redis-server", "redis-benchmark")
        folder = cls.enterClassContext(harness.temp_folder())
        cls.server_port = port = harness.free_port()
        command = [binary, "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
        cls.enterClassContext(harness.server(command, lambda: harness.listens(port)))
        cls.proxy = cls.enterClassContext(harness.Proxy(port, "--threads", "2"))

    def load(self, requests):
        command = [self.benchmark, "-p", self.proxy.port, "-t", "set", "-n", requests, "-c", 20, "-d", 100, "--csv"]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def test_watch_counts_the_requests(self):
        requests = 100_000
        command = [harness.WEIR_TOOL, "watch", str(self.proxy.pid), "--interval", "250ms", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            try:
                lines = [json.loads(watch.stdout.readline())]  # one before the load
                with self.load(requests) as load:
                    told = float(load.communicate(timeout=60)[0].splitlines()[-1].split(",")[1].strip('"'))
                ended = time.time()
                while lines[-1]["time"] < ended + 0.25:  # so that one line has the last of it
                    lines.append(json.loads(watch.stdout.readline()))
            finally:
                watch.kill()
        self.assertTrue(all(line["a_second"] for line in lines), "the rates are known")

        def sum_of(name):
            return sum(line["a_second"][name] * line["seconds"] for line in lines)

        # redis-benchmark asks for some settings first, and data may arrive in two pieces.
        self.assertAlmostEqual(sum_of("receives") / (PIECES * requests), 1, delta=0.02)
        self.assertAlmostEqual(sum_of("bytes") / (SET_BYTES * requests), 1, delta=0.02)
        rate = statistics.median(line["a_second"]["receives"] for line in lines if line["a_second"]["receives"]) / PIECES
        self.assertTrue(told / 2 < rate < told * 2, f"watch says {rate} requests a second, redis-benchmark {told}")
        self.assertEqual(max(line["connections"] for line in lines[:-1]) // PIECES, 20)

    def test_idle_connections_are_seen(self):
        with contextlib.ExitStack() as stack:
            proxy = stack.enter_context(harness.Proxy(self.server_port, env={"WEIR_RECV": "poll_first"}))
            for _ in range(5):
                stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))

            def idle():
                answer = harness.ask_tool("watch", proxy.pid, "--interval", "50ms", "--count", 1, "--json")
                line = json.loads(answer.stdout)
                return (line["connections"], line["idle"]) == (5 * PIECES, 5 * PIECES)

            harness.until(idle, "five idle clients and five idle upstreams")

    def test_top_moves(self):
        with Terminal([harness.WEIR_TOOL, "top", self.proxy.pid, "--interval", "200ms"], columns=100, rows=40) as top:
            top.until("receives 0/s", "at rest")
            with self.load(50_000) as load:
                screen = top.until(lambda screen: re.search(r"receives \d+k/s   bytes [\d.]+M/s", screen), "moving")
                self.assertRegex(screen, r"(?m)^ weir-proxy, process \d+   pool \w+")
                self.assertRegex(screen, r"(?m)^  \w+ \(auto\) +\d+ ")
                load.communicate(timeout=60)
            top.until("receives 0/s", "at rest again")
            top.send("q")
            self.assertIn("ended 0", top.until("restored", "as it was"))


if __name__ == "__main__":
    harness.main()
