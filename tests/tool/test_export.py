#!/usr/bin/python3
"""`weir export` says what `weir stat` says, in the formats of Prometheus, once and by HTTP."""
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import holder
from holder import Holder, weir

SAMPLE = re.compile(r'(weir_\w+)\{([^{}]*)\} (\d+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(text):
    """{(name, (label, value)...): value}"""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            found[name, *LABEL.findall(labels)] = int(value)
    return found


def promtool(*arguments, text):
    return subprocess.run([shutil.which("promtool"), *arguments], input=text, capture_output=True, text=True,
                          timeout=holder.PATIENCE, check=False)


class Exporter:
    """A running `weir export --listen`."""

    def __init__(self, *arguments, prefix=()):
        self.process = subprocess.Popen([*prefix, holder.WEIR, "export", *map(str, arguments), "--listen", "127.0.0.1:0"],
                                        stderr=subprocess.PIPE, text=True, env=holder.environment())
        self.url = re.fullmatch(r"weir: metrics at (http://127\.0\.0\.1:\d+/metrics)\n", self.process.stderr.readline())[1]

    def get(self, url="", **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url or self.url, headers=headers),
                                        timeout=holder.PATIENCE) as reply:
                return reply.status, reply.headers["Content-Type"], reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    def end(self, number):
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=holder.PATIENCE)
        return self.process.returncode, said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class ExportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.held = cls.enterClassContext(Holder())
        cls.numbers = json.loads(weir("stat", cls.held.pid, "--json").stdout)

    def text(self, *arguments):
        answer = weir("export", self.held.pid, *arguments)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        return answer.stdout

    def test_buffers_are_those_of_stat(self):
        found, (pool, ) = samples(self.text()), self.numbers["pools"]
        for node in pool["nodes"]:
            for size in (size for size in node["classes"] if size["capacity"]):
                where = (("pool", "held"), ("node", str(node["node"])), ("class", str(size["bytes"])))
                for who in ("free", "cached", "user", "kernel_ring", "kernel_request"):
                    self.assertEqual(found["weir_pool_buffers", *where, ("holder", who)], size[who])
                for metric, name in (("buffer_size_bytes", "bytes"), ("slab_bytes", "slab_bytes"), ("lends_total", "lends"),
                                     ("capacity_buffers", "capacity"), ("high_water_buffers", "high_water"),
                                     ("empty_lends_total", "empty"), ("refills_total", "refills"),
                                     ("flushes_total", "flushes")):
                    self.assertEqual(found["weir_pool_" + metric, *where], size[name], metric)
        memory = sum(value for (name, *_), value in found.items() if name == "weir_pool_memory_bytes")
        self.assertEqual(memory, pool["mapped_bytes"])

    def test_receivers_are_those_of_stat(self):
        if not self.held.receivers:
            self.skipTest("this kernel allows no receiver: it needs io_uring and Linux 6.0")
        found, (receiver, ), (ring, ) = samples(self.text()), self.numbers["receivers"], self.numbers["pools"][0]["rings"]
        where = (("pool", "held"), ("thread", str(receiver["thread"])), ("strategy", "ring"))
        for metric, name in (("connections", "connections"), ("parked_connections", "parked"), ("idle_connections", "idle"),
                             ("receives_total", "receives"), ("received_bytes_total", "bytes"), ("wakes_total", "wakes"),
                             ("enobufs_total", "enobufs"), ("cancels_total", "cancels"), ("reclaimed_total", "reclaimed")):
            self.assertEqual(found["weir_receiver_" + metric, *where], receiver[name], metric)
        where = (("pool", "held"), ("node", str(ring["node"])), ("class", "16384"), ("group", "64"))
        self.assertEqual((found["weir_ring_slots", *where], found["weir_ring_filled_slots", *where]), (8, 8))

    def test_degraded_memory(self):
        reasons = [arena["bytes"] for arena in self.numbers["pools"][0]["arenas"] if arena["reason"]]
        degraded = [value for (name, *_), value in samples(self.text()).items() if name == "weir_pool_degraded_memory_bytes"]
        self.assertEqual(sum(degraded), sum(reasons))
        with Holder(WEIR_PAGES="1g") as held:  # of 16 MiB, no page of 1 GiB can be
            arenas = json.loads(weir("stat", held.pid, "--json").stdout)["pools"][0]["arenas"]
            found = samples(weir("export", held.pid).stdout)
        degraded = [value for (name, *_), value in found.items() if name == "weir_pool_degraded_memory_bytes"]
        self.assertEqual(sum(degraded), sum(arena["bytes"] for arena in arenas))
        self.assertGreater(sum(degraded), 0)

    def test_oldest_loan(self):
        self.assertNotIn("weir_pool_oldest_loan_seconds{", self.text())
        with Holder(WEIR_TRACE="1") as held:
            began = time.monotonic()
            time.sleep(1.1)
            found = samples(weir("export", held.pid).stdout)
            age = found["weir_pool_oldest_loan_seconds", ("pool", "held")]
            self.assertTrue(1 <= age <= time.monotonic() - began + 1, age)

    def test_both_formats_say_the_same(self):
        plain, openly = self.text(), self.text("--openmetrics")
        self.assertEqual(samples(plain), samples(openly))
        self.assertTrue(openly.endswith("\n# EOF\n"))
        self.assertIn("# TYPE weir_receiver_received_bytes_total counter\n", plain)
        self.assertIn("# TYPE weir_receiver_received_bytes counter\n# UNIT weir_receiver_received_bytes bytes\n", openly)

    def test_promtool_finds_nothing_wrong(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed (Debian: prometheus)")
        done = promtool("check", "metrics", text=self.text())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_saved_segment(self):
        saved = "/proc/self/fd/0"
        with open(self.held.segment_path(), "rb") as segment:
            answer = subprocess.run([holder.WEIR, "export", "--segment", saved], stdin=segment, capture_output=True,
                                    text=True, check=False)
        self.assertEqual((answer.returncode, samples(answer.stdout)), (0, samples(self.text())))

    def test_wrong_arguments(self):
        for arguments, status in ((("--json", ), 2), (("--listen", "here"), 2), (("--listen", "127.0.0.1:70000"), 2),
                                  (("--listen", "192.0.2.1:9464"), 1)):
            answer = weir("export", self.held.pid, *arguments)
            self.assertEqual((answer.returncode, answer.stdout), (status, ""))
            self.assertRegex(answer.stderr, r"\Aweir: [^\n]+\n\Z")


class HttpTest(unittest.TestCase):
    def test_each_scrape_is_of_its_moment(self):
        with Holder() as held, Exporter(held.pid) as exporter:
            for loans in (held.loans + held.receivers, 0):
                status, kind, text = exporter.get()
                self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
                user = [value for name, value in samples(text).items() if ("holder", "user") in name]
                self.assertEqual(sum(user), loans)
                held.drop()
            status, kind, text = exporter.get(Accept=OPENMETRICS + ",*/*;q=0.1")
            self.assertEqual((status, kind), (200, OPENMETRICS + "; charset=utf-8"))
            self.assertTrue(text.endswith("# EOF\n"))
            self.assertEqual(exporter.get(exporter.url.replace("metrics", "other"))[0], 404)

    def test_other_requests(self):
        with Holder() as held, Exporter(held.pid) as exporter:
            for method in ("POST", "PUT", "DELETE"):
                request = urllib.request.Request(exporter.url, method=method, data=b"x")
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=holder.PATIENCE)
                with refused.exception as error:
                    self.assertEqual((error.code, error.headers["Allow"]), (405, "GET, HEAD"), method)
            status, _, text = exporter.get(exporter.url.removesuffix("metrics"))
            self.assertEqual(status, 200)
            self.assertIn("/metrics\n", text)

    def test_asked_for_openmetrics(self):
        with Holder() as held, Exporter(held.pid, "--openmetrics") as exporter:
            self.assertTrue(exporter.get()[2].endswith("# EOF\n"))

    def test_ends_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Holder() as held, Exporter(held.pid) as exporter:
                exporter.get()
                self.assertEqual(exporter.end(number), (0, ""))

    def test_port_that_is_taken(self):
        with Holder() as held, Exporter(held.pid) as exporter:
            address = exporter.url.split("/")[2]
            answer = weir("export", held.pid, "--listen", address)
            self.assertEqual(answer.returncode, 1)
            self.assertRegex(answer.stderr, rf"\Aweir: cannot listen at {address}: the port is in use [^\n]+\n\Z")

    def test_head_and_gzip(self):
        with Holder() as held, Exporter(held.pid) as exporter:
            plain = exporter.get()[2]
            for method, encoding in (("GET", "gzip"), ("HEAD", "gzip"), ("HEAD", "identity"), ("GET", "gzip;q=0")):
                request = urllib.request.Request(exporter.url, method=method, headers={"Accept-Encoding": encoding})
                with urllib.request.urlopen(request, timeout=holder.PATIENCE) as reply:
                    body, packed = reply.read(), reply.headers["Content-Encoding"] == "gzip"
                self.assertEqual((reply.status, packed), (200, encoding == "gzip"))
                self.assertEqual(reply.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
                if method == "HEAD":
                    self.assertEqual(body, b"")
                    self.assertGreater(int(reply.headers["Content-Length"]), 100)
                else:
                    self.assertEqual(samples((gzip.decompress(body) if packed else body).decode()), samples(plain))

    def test_body_of_what_is_refused(self):
        """All of it is read, however large, so that the answer is not lost with a reset."""
        with Holder() as held, Exporter(held.pid) as exporter:
            port = int(exporter.url.split(":")[2].split("/")[0])
            with socket.create_connection(("127.0.0.1", port), timeout=holder.PATIENCE) as client:
                size = 1 << 20
                client.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
                self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 405 "))


class ManyConnectionsTest(unittest.TestCase):
    """They say nothing, or say it slowly: neither keeps a scrape waiting, nor the end."""

    def crowd(self, exporter, count):
        """So many that are silent, have been answered once, or are in the middle of their headers, a third of each."""
        address = ("127.0.0.1", int(exporter.url.split(":")[2].split("/")[0]))
        answered = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        slow = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
        connections = []
        for number in range(count):
            connections.append(self.enterContext(socket.create_connection(address, timeout=holder.PATIENCE)))
            connections[-1].sendall((b"", answered, slow)[number % 3])
        return connections

    def go_on(self, connections):
        """Each slow one says a bit more of its headers; some may have been closed."""
        for connection in connections[2::3]:
            with contextlib.suppress(OSError):
                connection.sendall(b"X: y\r\n")

    def check(self, count):
        with Holder() as held, Exporter(held.pid) as exporter:
            connections = self.crowd(exporter, count)
            for _ in range(3):
                self.go_on(connections)
                self.assertEqual(exporter.get()[0], 200)
            exporter.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + holder.PATIENCE
            while exporter.process.poll() is None:
                self.assertLess(time.monotonic(), deadline, "it waits for connections that are slow")
                self.go_on(connections)
                time.sleep(0.05)
            self.assertEqual(exporter.process.returncode, 0)

    def test_two_hundred(self):
        self.check(210)

    def test_more_than_it_keeps(self):
        self.check(600)


class ProcessesTest(unittest.TestCase):
    def test_process_that_goes(self):
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(Holder())
            exporter = stack.enter_context(Exporter(held.pid))
            self.assertEqual(exporter.get()[0], 200)
            held.__exit__()
            self.assertEqual(exporter.get()[::2], (503, f"there is no process {held.pid}: `weir ls` lists those that have "
                                                   "pools\n"))

    def test_follows_the_only_process(self):
        """In a PID namespace of its own: it is there, gone, and there again."""
        enter = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork",
                 "--kill-child", "--mount-proc"]
        if subprocess.run([*enter, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no PID namespace")
        with Exporter(prefix=enter) as exporter:
            self.assertEqual(exporter.get()[0], 503)
            inside = self.child_of(exporter.process.pid)
            for _ in range(2):
                with Holder(prefix=["nsenter", "--target", str(inside), "--pid", "--mount", *self.as_user()]):
                    self.assertEqual(exporter.get()[0], 200)
                status, _, text = exporter.get()
                self.assertEqual(status, 503)
                self.assertIn("no process has a pool", text)

    def test_several_processes(self):
        with Holder(), Holder(), Exporter() as exporter:
            status, _, text = exporter.get()
            self.assertEqual(status, 503)
            self.assertIn("several processes have pools", text)

    def as_user(self):
        return [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]

    def child_of(self, pid):
        deadline = time.monotonic() + holder.PATIENCE
        while time.monotonic() < deadline:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
                if found := children.read().split():
                    return int(found[0])
        raise AssertionError("unshare has no child")


if __name__ == "__main__":
    unittest.main()
